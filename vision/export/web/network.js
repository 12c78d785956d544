'use strict';

// Loads the graph model and runs it, in browsers and in Node.js.

const TOLERANCE = 1e-3; // float32 sums in another order; half precision differs by more

/** The network on the first of these backends that computes it correctly.
 *
 * @param source an address of the model, or a handler of tf.io.
 * @param backends names of backends, the fastest first.
 * @param expected probabilities of the image that `check` generates.
 */
async function loadNetwork(source, backends, expected) {
  // Threads need a worker, which the page's Content-Security-Policy forbids.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  let reason = new Error(`this browser supports none of ${backends.join(', ')}`);
  for (const backend of backends) {
    try {
      if (isSuitable(backend) && await tf.setBackend(backend)) {
        return await check(await tf.loadGraphModel(source), backend, expected);
      }
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

/** Whether a backend is fast and exact: WebGL only on graphics hardware and in float32,
 * since emulation is slower than WebAssembly and some phones have half precision. */
function isSuitable(backend) {
  if (backend !== 'webgl') {
    return true;
  }
  const context = document.createElement('canvas').getContext('webgl2');
  const info = context && context.getExtension('WEBGL_debug_renderer_info');
  const renderer = info ? context.getParameter(info.UNMASKED_RENDERER_WEBGL) : '';
  return context !== null
    && !/swiftshader|llvmpipe|software|basic render/i.test(renderer)
    && tf.env().getBool('WEBGL_RENDER_FLOAT32_CAPABLE');
}

/** The network, if it computes the expected probabilities. */
async function check(model, backend, expected) {
  const [, size] = model.inputs[0].shape;

  /** RGB pixels 0..255, [size * size * 3] → probabilities, Float32Array [classes]. */
  async function classify(pixels) {
    const probabilities = tf.tidy(() => model.predict(
      tf.tensor4d(Float32Array.from(pixels), [1, size, size, 3])).probabilities);
    try {
      return await probabilities.data();
    } finally {
      probabilities.dispose();
    }
  }

  const probabilities = await classify(
    Uint8Array.from({length: size * size * 3}, (_, i) => i * i % 251));
  const difference = Math.max(
    ...expected.map((p, i) => Math.abs(p - probabilities[i])));
  if (probabilities.length !== expected.length || !(difference <= TOLERANCE)) {
    throw new Error(`with ${backend} a probability differs by ${difference} from the ` +
      'expected one');
  }
  return {classify, size, backend};
}
