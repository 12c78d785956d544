'use strict';

// Loading the graph model, and asking it. Runs in browsers and in Node.

const TOLERANCE = 1e-3; // sums in another order; half of the precision has more

/** The network on the first of these backends that computes it right.
 *
 * @param source where the model is: an address or a handler of tf.io.
 * @param backends names of backends, best first.
 * @param expected probabilities of the image that `checked` draws.
 */
async function loadNetwork(source, backends, expected) {
  // Its threads would need a worker that the page's policy forbids.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  let reason = new Error(`none of ${backends.join(', ')} works here`);
  for (const backend of backends) {
    try {
      if (isSuitable(backend) && await tf.setBackend(backend)) {
        return await checked(await tf.loadGraphModel(source), backend, expected);
      }
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

/** WebGL is, where graphics hardware computes it, and in float32: emulation is slower
 * than WebAssembly, and some phones have but half of that precision. */
function isSuitable(backend) {
  if (backend !== 'webgl') {
    return true;
  }
  const context = document.createElement('canvas').getContext('webgl2');
  const named = context && context.getExtension('WEBGL_debug_renderer_info');
  const renderer = named ? context.getParameter(named.UNMASKED_RENDERER_WEBGL) : '';
  return context !== null && !/swiftshader|llvmpipe|software|basic render/i.test(renderer)
    && tf.env().getBool('WEBGL_RENDER_FLOAT32_CAPABLE');
}

async function checked(model, backend, expected) {
  const [, size] = model.inputs[0].shape;

  /** Probabilities, Float32Array [classes], of RGB pixels 0..255, [size * size * 3]. */
  async function classify(pixels) {
    const probabilities = tf.tidy(() => model.predict(
      tf.tensor4d(Float32Array.from(pixels), [1, size, size, 3])).probabilities);
    try {
      return await probabilities.data();
    } finally {
      probabilities.dispose();
    }
  }

  const found = await classify(
    Uint8Array.from({length: size * size * 3}, (_, i) => i * i % 251));
  const difference = Math.max(...expected.map((p, i) => Math.abs(p - found[i])));
  if (found.length !== expected.length || !(difference <= TOLERANCE)) {
    throw new Error(`with ${backend} a probability differs by ${difference} from what ` +
      'it should be');
  }
  return {classify, size, backend};
}
