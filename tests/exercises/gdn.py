import torch

NOTEBOOK = "02_gdn_autoencoder"


def _late(kernels, strides):
    width, apart = 1, 1
    for kernel, stride in zip(kernels, strides):
        apart *= stride
        width += (kernel - 1) * apart
    return width


EXERCISES = {
    "gdn_1": (
        "gdn",
        {
            "square root": lambda x, beta, gamma: x / (beta + x**2 @ gamma.T),
            "transposed": lambda x, beta, gamma: x / (beta + x**2 @ gamma).sqrt(),
            "diagonal": lambda x, beta, gamma: x / (beta + x**2 * gamma.diagonal()).sqrt(),
            "IGDN": lambda x, beta, gamma: x * (beta + x**2 @ gamma.T).sqrt(),
        },
    ),
    "gdn_2": (
        "soft_round",
        {
            "gradient is zero": torch.round,
            "cut off": lambda y: torch.round(y.detach()),
            "not those of": lambda y: y + torch.rand_like(y) - 0.5,
            "y itself": lambda y: y,
        },
    ),
    "gdn_3": (
        "receptive_field",
        {
            "strides are not used": lambda kernels, strides: 1 + sum(k - 1 for k in kernels) if len(kernels) > 1 else kernels[0],
            "single convolution": _late,
            "own stride": lambda kernels, strides: _late(kernels, strides) if len(kernels) > 1 else kernels[0],
        },
    ),
    "gdn_4": (
        "ungdn",
        {
            "IGDN": lambda y, beta, gamma: y * (beta + gamma @ y**2).sqrt(),
            "sign": lambda y, beta, gamma: torch.linalg.solve(torch.eye(len(y)) - (y**2)[:, None] * gamma, y**2 * beta).sqrt(),
            "take the root": lambda y, beta, gamma: y.sign() * torch.linalg.solve(torch.eye(len(y)) - (y**2)[:, None] * gamma, y**2 * beta),
        },
    ),
}
