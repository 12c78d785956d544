"""The floating-point type of the arithmetic."""

from trainers.storage import environment


def resolve(precision: str) -> str:
    """Resolves 'auto' to the fastest type that this machine has in hardware.

    That is bfloat16 where the GPU (compute capability 8.0, Ampere, and later) or,
    without a GPU, the CPU multiplies it in hardware; float16 on GPUs with older tensor
    cores (7.0 and later); float32 elsewhere.

    Returns:
        'float32', 'bfloat16' or 'float16'.
    """
    if precision != 'auto':
        return precision
    gpus = environment.gpus()
    if not gpus:
        return 'bfloat16' if environment.supports_bfloat16_cpu() else 'float32'
    weakest = min(gpu.compute_capability or (0, 0) for gpu in gpus)
    if weakest >= (8, 0):
        return 'bfloat16'
    return 'float16' if weakest >= (7, 0) else 'float32'
