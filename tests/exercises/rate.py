import torch

NOTEBOOK = "01_rate_and_distortion"
EXERCISES = {
    "rate_1": (
        "entropy",
        {
            "nats": lambda p: -torch.special.xlogy(p, p).sum(),
            "NaN": lambda p: -(p * torch.log2(p)).sum(),
            "sign": lambda p: (p * torch.log2(p)).sum(),
        },
    ),
    "rate_2": (
        "psnr",
        {
            "average the squared error": lambda a, b: -10 * torch.log10(((a - b) ** 2).mean(dim=(1, 2))).mean(),
            "not 255": lambda a, b: 20 * torch.log10(torch.tensor(255.0)) - 10 * torch.log10(((a - b) ** 2).mean()),
            "square root": lambda a, b: -10 * torch.log10(((a - b) ** 2).mean().sqrt()),
        },
    ),
    "rate_3": ("quantise", {"symbols": lambda x, step: torch.round(x / step), "biased": lambda x, step: step * torch.floor(x / step)}),
    "rate_4": (
        "best",
        {
            "cheapest": lambda r, d, w: d.argmin(),
            "cheaper than": lambda r, d, w: r.argmin() if w > 1e5 else d.argmin(),
            "best picture": lambda r, d, w: r.argmin(),
        },
    ),
}
