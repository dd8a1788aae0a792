import torch

NOTEBOOK = "13_results"


def _bd(r, v, tr, tv):
    low, high = max(v[0], tv[0]), min(v[-1], tv[-1])
    grid = torch.linspace(float(low), float(high), 4001, dtype=torch.float64)

    def line(rates, values):
        right = torch.searchsorted(values, grid).clamp(1, len(values) - 1)
        part = (grid - values[right - 1]) / (values[right] - values[right - 1])
        return torch.lerp(torch.log(rates)[right - 1], torch.log(rates)[right], part)

    return float((line(tr, tv) - line(r, v)).mean())


def _interval(means):
    return means.quantile(0.025), means.quantile(0.975)


def _draw(n, draws):
    return torch.randint(n, (draws, n))


EXERCISES = {
    "results_1": (
        "fitting_level",
        {
            "mean over the pictures": lambda s, p, bpp: int(((8 * s / p).mean(dim=1) <= bpp).sum()) - 1,
            "counted as bits": lambda s, p, bpp: int((s.sum(dim=1) <= bpp * p.sum()).sum()) - 1,
            "the highest level that fits is": lambda s, p, bpp: int((8 * s.sum(dim=1) <= bpp * p.sum()).sum()) - 2,
        },
    ),
    "results_2": (
        "rate_for",
        {
            "straight over the rate": lambda r, v, w: r[k := int((v < w).sum()) - 1] + (w - v[k]) / (v[k + 1] - v[k]) * (r[k + 1] - r[k]),
            "lies between": lambda r, v, w: r[int((v - w).abs().argmin())],
            "turn it back": lambda r, v, w: torch.lerp(
                r.log()[k := int((v < w).sum()) - 1], r.log()[k + 1], (w - v[k]) / (v[k + 1] - v[k])
            ),
        },
    ),
    "results_3": (
        "bd_lines",
        {
            "sign of the gap": lambda r, v, tr, tv: 100 * (torch.exp(torch.tensor(-_bd(r, v, tr, tv))) - 1),
            "turns it into a factor": lambda r, v, tr, tv: 100 * _bd(r, v, tr, tv),
            "against itself gives 0": lambda r, v, tr, tv: 100 * torch.exp(torch.tensor(_bd(r, v, tr, tv))),
            "both curves reach": lambda r, v, tr, tv: 100 * (10 ** _bd(r, v, tr, tv) - 1),
        },
    ),
    "results_4": (
        "paired_interval",
        {
            "sign is turned": lambda a, b, draws: _interval((b - a)[_draw(len(a), draws)].mean(dim=1)),
            "same pictures": lambda a, b, draws: _interval(a[_draw(len(a), draws)].mean(dim=1) - b[_draw(len(b), draws)].mean(dim=1)),
            "single pictures": lambda a, b, draws: _interval(a - b),
        },
    ),
}
