'use strict';

// From a file to the pixels of the network, as in evaluation: the largest centred
// square, resized as TensorFlow does. A canvas can resize too, but its result differs
// between browsers.

/** The largest centred square of an image, rotated as its EXIF data says: {pixels,
 * side}, RGBA. */
async function readSquare(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  try {
    const side = Math.min(bitmap.width, bitmap.height);
    const left = Math.floor((bitmap.width - side) / 2);
    const top = Math.floor((bitmap.height - side) / 2);
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = side;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(bitmap, -left, -top);
    return {pixels: context.getImageData(0, 0, side, side).data, side};
  } finally {
    bitmap.close();
  }
}

/** RGBA pixels of a square → RGB pixels of another size, 0..255; bilinear, and
 * antialiased where it shrinks to less than half. */
function resize(pixels, side, size) {
  const spans = side > 2 * size ? triangles(side, size) : neighbours(side, size);
  const rows = new Float32Array(size * side * 3);
  for (let y = 0; y < size; y++) {
    const {start, weights} = spans[y];
    for (let i = 0; i < weights.length; i++) {
      let from = (start + i) * side * 4;
      for (let to = y * side * 3; to < (y + 1) * side * 3; to += 3, from += 4) {
        rows[to] += weights[i] * pixels[from];
        rows[to + 1] += weights[i] * pixels[from + 1];
        rows[to + 2] += weights[i] * pixels[from + 2];
      }
    }
  }
  const resized = new Uint8Array(size * size * 3);
  for (let y = 0, to = 0; y < size; y++) {
    for (const {start, weights} of spans) {
      for (let channel = 0; channel < 3; channel++, to++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) {
          sum += weights[i] * rows[(y * side + start + i) * 3 + channel];
        }
        resized[to] = round(Math.fround(sum));
      }
    }
  }
  return resized;
}

/** Bilinear weights of the `side` pixels for each of `size` ones: {start, weights}. */
function neighbours(side, size) {
  return Array.from({length: size}, (_, at) => {
    const centre = (at + 0.5) * side / size - 0.5;
    const start = Math.floor(centre);
    if (start < 0 || start + 1 >= side) {
      return {start: Math.min(Math.max(start, 0), side - 1), weights: [1]};
    }
    return {start, weights: [1 - (centre - start), centre - start]};
  });
}

/** The same with triangles as wide as the factor of shrinking. */
function triangles(side, size) {
  const scale = side / size;
  return Array.from({length: size}, (_, at) => {
    const centre = (at + 0.5) * scale;
    const start = Math.max(Math.ceil(centre - scale - 0.5), 0);
    const end = Math.min(Math.floor(centre + scale - 0.5), side - 1);
    const weights = Array.from({length: end + 1 - start}, (_, i) =>
      Math.max(1 - Math.abs(start + i + 0.5 - centre) / scale, 0));
    const sum = weights.reduce((a, b) => a + b);
    return {start, weights: weights.map((weight) => weight / sum)};
  });
}

/** The nearest integer, the even one of two, clipped to 0..255, as in TensorFlow. */
function round(value) {
  const below = Math.floor(value);
  const up = value - below > 0.5 || (value - below === 0.5 && below % 2 === 1);
  return Math.min(Math.max(below + (up ? 1 : 0), 0), 255);
}
