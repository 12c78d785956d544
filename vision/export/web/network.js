'use strict';

// Loading the graph model, and asking it. Runs in browsers and in Node.

/** The network on the first of these backends that can compute it.
 *
 * @param source where the model is: an address or a handler of tf.io.
 * @param backends names of backends, best first.
 */
async function loadNetwork(source, backends) {
  // Its threads would need a worker that the page's policy forbids.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  let reason = new Error(`none of ${backends.join(', ')} works here`);
  for (const backend of backends) {
    try {
      if (isSuitable(backend) && await tf.setBackend(backend)) {
        return await warmedUp(await tf.loadGraphModel(source), backend);
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

async function warmedUp(model, backend) {
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

  const sum = (await classify(new Uint8Array(size * size * 3))).reduce((a, b) => a + b);
  if (!(Math.abs(sum - 1) < 0.01)) {
    throw new Error(`with ${backend} the probabilities add up to ${sum}`);
  }
  return {classify, size, backend};
}
