'use strict';

const TOP = 5;
const BACKENDS = {webgl: 'WebGL', wasm: 'WebAssembly', cpu: 'JavaScript'};

const root = document.documentElement;
const input = document.getElementById('files');
const status = document.getElementById('status');
const results = document.getElementById('results');

/** A new element; its children are text or elements, never markup. */
function element(tag, className, ...children) {
  const created = document.createElement(tag);
  created.className = className;
  created.append(...children);
  return created;
}

/** Shows a message in the status line. */
function report(text, failed = false) {
  status.textContent = text;
  status.classList.toggle('failure', failed);
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

/** The most likely classes, as [label, probability], best first. */
function best(probabilities) {
  return [...probabilities.entries()].sort((a, b) => b[1] - a[1]).slice(0, TOP);
}

function row(name, label, probability) {
  const value = element('data', '', percent(probability));
  value.value = probability;
  const bar = element('div', 'bar');
  bar.style.width = `${100 * probability}%`;
  const track = element('div', 'track', bar);
  track.setAttribute('aria-hidden', 'true');
  const item = element('li', '', element('span', 'class', name), value, track);
  item.dataset.label = label;
  return item;
}

/** A canvas that shows the pixels that the network gets. */
function preview(pixels, size) {
  const canvas = element('canvas', size < 128 ? 'small' : '');
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'the cropped and resized image');
  return canvas;
}

/** The result for a file, as an element. */
async function classify(file, network, classes) {
  let square;
  try {
    square = await readSquare(file);
  } catch {
    return failure(file.name, 'The browser cannot read this file as an image.');
  }
  const pixels = resize(square.pixels, square.side, network.size);
  const start = performance.now();
  const probabilities = await network.classify(pixels);
  const milliseconds = Math.round(performance.now() - start);
  const top = best(probabilities);
  const rows = top.map(([label, p]) => row(classes[label], label, p));
  report(`${file.name}: ${classes[top[0][0]]}, ${percent(top[0][1])}`);
  const notes = [element('p', 'note', `${milliseconds} ms with ` +
    BACKENDS[network.backend])];
  if (isTransparent(square.pixels)) {
    notes.push(element('p', 'note', 'Parts of the image are transparent. They were ' +
      'classified as black.'));
  }
  return element('article', '', preview(pixels, network.size), element('div', '',
    element('h2', '', file.name), element('ol', '', ...rows), ...notes));
}

function isTransparent(pixels) {
  for (let i = 3; i < pixels.length; i += 4) {
    if (pixels[i] < 255) {
      return true;
    }
  }
  return false;
}

function failure(name, text) {
  report(`${name}: ${text}`, true);
  return element('article', 'failure', element('h2', '', name), text);
}

/** A function that classifies files one after the other, the newest result on top. */
function queue(network, classes) {
  let last = Promise.resolve();
  return (files) => {
    for (const file of files) {
      last = last.then(async () => {
        report(`Classifying ${file.name}…`);
        // Lets the browser show this text before the computation begins.
        await new Promise((resolve) => setTimeout(resolve));
        results.prepend(await classify(file, network, classes).catch(
          (error) => failure(file.name, `Classification failed: ${error.message}`)));
      });
    }
  };
}

/** Passes files that are chosen, dropped on the page or pasted to a function. */
function listen(take) {
  input.addEventListener('change', () => {
    take([...input.files]);
    input.value = ''; // so that the same file can be chosen again
  });
  for (const name of ['dragenter', 'dragover']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.add('dragging');
    });
  }
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) {
      document.body.classList.remove('dragging');
    }
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    receive(event.dataTransfer, take);
  });
  document.addEventListener('paste', (event) => receive(event.clipboardData, take));
}

function receive(transfer, take) {
  if (transfer.files.length) {
    take([...transfer.files]);
  } else {
    report('This is not an image file. Save the image, then choose or drop the file.',
      true);
  }
}

async function start() {
  if (location.protocol === 'file:') {
    throw new Error('browsers do not let a local page read other files. Serve the ' +
      'folder: python -m http.server');
  }
  const response = await fetch('description.json');
  if (!response.ok) {
    throw new Error(`description.json: ${response.status} ${response.statusText}`);
  }
  const description = await response.json();
  document.title = `${description.model}: image classifier`;
  document.querySelector('h1').textContent = description.model;
  document.getElementById('about').textContent =
    `Predicts one of ${description.classes.length.toLocaleString('en')} classes. ` +
    'Images are processed on this device and not uploaded.';
  tf.wasm.setWasmPaths('tfjs/');
  const network = await loadNetwork('model/model.json', Object.keys(BACKENDS),
    description.check.probabilities);
  listen(queue(network, description.classes));
  input.disabled = false;
  report(`Ready, with ${BACKENDS[network.backend]}.`);
}

start().then(() => {
  root.dataset.state = 'ready';
}, (error) => {
  report(`The network cannot be loaded: ${error.message}`, true);
  root.dataset.state = 'failed';
});
