'use strict';

const TOP = 5;
const BACKENDS = {webgl: 'WebGL', wasm: 'WebAssembly', cpu: 'JavaScript'};

const root = document.documentElement;
const input = document.getElementById('files');
const status = document.getElementById('status');
const results = document.getElementById('results');

/** A new element; what is in it goes in as text or as elements, never as markup. */
function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function say(text, failed = false) {
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
  const made = element('li', '', element('span', 'class', name), value, track);
  made.dataset.label = label;
  return made;
}

/** The image as the network sees it. */
function drawn(pixels, size) {
  const canvas = element('canvas', size < 128 ? 'small' : '');
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'the image as the network sees it');
  return canvas;
}

async function classified(file, network, classes) {
  let square;
  try {
    square = await readSquare(file);
  } catch {
    return failure(file.name, 'This is not an image that the browser can read.');
  }
  const pixels = resize(square.pixels, square.side, network.size);
  const start = performance.now();
  const probabilities = await network.classify(pixels);
  const milliseconds = Math.round(performance.now() - start);
  const found = best(probabilities);
  const rows = found.map(([label, p]) => row(classes[label], label, p));
  say(`${file.name}: ${classes[found[0][0]]}, ${percent(found[0][1])}`);
  const notes = [element('p', 'note', `${milliseconds} ms with ` +
    BACKENDS[network.backend])];
  if (isTransparent(square.pixels)) {
    notes.push(element('p', 'note', 'Parts of the image are transparent. Browsers ' +
      'show those as black, and so did the network see them.'));
  }
  return element('article', '', drawn(pixels, network.size), element('div', '',
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
  say(`${name}: ${text}`, true);
  return element('article', 'failure', element('h2', '', name), text);
}

/** Takes files one after the other; the newest result stands at the top. */
function queue(network, classes) {
  let last = Promise.resolve();
  return (files) => {
    for (const file of files) {
      last = last.then(async () => {
        say(`Looking at ${file.name}…`);
        // A frame, so that the words are on the screen before the work begins.
        await new Promise((resolve) => setTimeout(resolve));
        results.prepend(await classified(file, network, classes).catch(
          (error) => failure(file.name, `The network failed: ${error.message}`)));
      });
    }
  };
}

/** Takes files that are chosen, dropped anywhere or pasted. */
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
    taken(event.dataTransfer, take);
  });
  document.addEventListener('paste', (event) => taken(event.clipboardData, take));
}

function taken(transfer, take) {
  if (transfer.files.length) {
    take([...transfer.files]);
  } else {
    say('That was no image file: save the image first, then choose or drop it.',
      true);
  }
}

async function start() {
  if (location.protocol === 'file:') {
    throw new Error('browsers let no page read the files beside it. Serve the folder ' +
      'instead: python -m http.server');
  }
  const response = await fetch('description.json');
  if (!response.ok) {
    throw new Error(`description.json: ${response.status} ${response.statusText}`);
  }
  const description = await response.json();
  document.title = `${description.model}: image classifier`;
  document.querySelector('h1').textContent = description.model;
  document.getElementById('about').textContent = 'Tells ' +
    `${description.classes.length.toLocaleString('en')} classes apart. Images are ` +
    'looked at on this device; none leaves it.';
  tf.wasm.setWasmPaths('tfjs/');
  const network = await loadNetwork('model/model.json', Object.keys(BACKENDS),
    description.check.probabilities);
  listen(queue(network, description.classes));
  input.disabled = false;
  say(`Ready. Computes with ${BACKENDS[network.backend]}.`);
}

start().then(() => {
  root.dataset.state = 'ready';
}, (error) => {
  say(`The network cannot be loaded: ${error.message}`, true);
  root.dataset.state = 'failed';
});
