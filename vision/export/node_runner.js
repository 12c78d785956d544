'use strict';

// node node_runner.js FOLDER IMAGES PREDICTIONS: runs the exported network in Node.js, with
// the scripts in the folder.
//
// IMAGES is a .npy file, uint8 [N, S, S, 3]. The float32 probabilities are written to
// PREDICTIONS in the machine's byte order. The median time of a batch of one image and the
// backend are printed as JSON.

const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, images, predictions] = process.argv.slice(2);

/** The exports of a CommonJS script; `packages` are those that it can require. */
function load(name, packages = {}) {
  const file = path.join(folder, name);
  const module = {exports: {}};
  vm.compileFunction(fs.readFileSync(file, 'utf8'),
    ['exports', 'require', 'module', '__filename', '__dirname'], {filename: file})(
    module.exports, (id) => packages[id] || require(id), module, file,
    path.dirname(file));
  return module.exports;
}

/** A handler of tf.io that reads the model from files, which Node.js cannot fetch. */
const handler = {
  async load() {
    const model = path.join(folder, 'model');
    const json = JSON.parse(fs.readFileSync(path.join(model, 'model.json'), 'utf8'));
    const shards = json.weightsManifest.flatMap((group) => group.paths);
    const bytes = Buffer.concat(shards.map((name) =>
      fs.readFileSync(path.join(model, name))));
    return {
      ...json,
      weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
      weightData: bytes.buffer.slice(bytes.byteOffset,
        bytes.byteOffset + bytes.byteLength),
    };
  },
};

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

async function run() {
  globalThis.tf = load('tfjs/tf.es2017.min.js');
  load('tfjs/tf-backend-wasm.es2017.min.js', {'@tensorflow/tfjs-core': tf});
  vm.runInThisContext(fs.readFileSync(path.join(folder, 'network.js'), 'utf8'));
  const {check} = JSON.parse(fs.readFileSync(path.join(folder, 'description.json'),
    'utf8'));
  const network = await loadNetwork(handler, ['wasm', 'cpu'], check.probabilities);
  const file = fs.readFileSync(images);
  const bytes = file.subarray(10 + file.readUInt16LE(8)); // behind the header
  const length = network.size * network.size * 3;
  const probabilities = [];
  const times = [];
  for (let at = 0; at < bytes.length; at += length) {
    const start = performance.now();
    probabilities.push(Buffer.from((await network.classify(
      bytes.subarray(at, at + length))).buffer));
    times.push(performance.now() - start);
  }
  fs.writeFileSync(predictions, Buffer.concat(probabilities));
  console.log(JSON.stringify({
    milliseconds: median(times),
    backend: network.backend,
  }));
}

run().catch((error) => {
  console.error(error);
  process.exit(1);
});
