import sys
from pathlib import Path

import pytest
import torch

from plic_lib import datasets, images, metrics
from plic_lib.errors import ImageError, WeightsMissing
from plic_lib.study import compare, sets
from plic_lib.training import losses


def test_bpp_counts_every_byte():
    assert metrics.bpp(3686, 512, 768) == pytest.approx(0.07499, abs=1e-5)


def test_psnr():
    x = torch.zeros(3, 8, 8)
    assert metrics.psnr(x, x + 0.1) == pytest.approx(20, abs=1e-4) and metrics.psnr(x, x) == float("inf")


def test_ms_ssim_needs_more_than_160_pixels(photo):
    big = datasets.sample("astronaut")
    assert metrics.ms_ssim(big, big) == pytest.approx(1) and metrics.ms_ssim(big, big.flip(-1)) < 0.5
    assert torch.isnan(torch.tensor(metrics.ms_ssim(photo, photo)))


def test_lpips_is_the_package_s(needs_lpips, photo):
    import lpips

    other = (photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    reference = lpips.LPIPS(net="alex", verbose=False)(2 * photo[None] - 1, 2 * other[None] - 1)
    assert metrics.lpips(photo, other) == pytest.approx(reference.item(), abs=1e-4)


def test_lpips_and_its_gradient_are_finite_at_equal_and_at_flat_pictures(needs_lpips):
    """Warm white silences whole layers of AlexNet: a feature vector of zeros."""
    measure, photo = metrics.LPIPS(), torch.rand(1, 3, 64, 64)
    warm_white = torch.tensor([0.99, 0.94, 0.92])[None, :, None, None].expand(1, 3, 64, 64)
    for flat in (torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5), warm_white, photo):
        for x in (flat, photo):
            x_hat = flat.clone().requires_grad_()
            value = measure(x, x_hat)
            value.sum().backward()
            assert torch.isfinite(value) and torch.isfinite(x_hat.grad).all()
            assert (value.item() < 1e-6) == torch.equal(x, flat)


def test_lpips_notices_a_changed_original(needs_lpips):
    x = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    x_hat = x.clone()
    assert metrics.lpips(x, x_hat) == pytest.approx(0, abs=1e-6)
    x[:] = x.flip(-1)
    assert metrics.lpips(x, x_hat) > 0.01


def test_lpips_in_inference_mode(needs_lpips, photo):
    with torch.inference_mode():
        assert metrics.lpips(photo + 0, photo.flip(-1)) == pytest.approx(metrics.lpips(photo.clone(), photo.flip(-1)), rel=1e-5)


def test_missing_weights_are_announced(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsMissing, match="LPIPS-squeeze.*plic doctor --fetch squeeze"):
        metrics.LPIPS("squeeze")


@pytest.mark.parametrize(
    "content",
    [b"<html>blocked</html>", b"version https://git-lfs.github.com/spec/v1\n", b"", "another network's"],
    ids=["page", "pointer", "empty", "other"],
)
def test_a_file_that_is_not_the_weights_counts_as_missing(content, monkeypatch, tmp_path, photo):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for net in metrics.WEIGHT_FILES:
        if isinstance(content, bytes):
            metrics.weights_path(net).write_bytes(content)
        else:
            torch.save({"features.0.weight": torch.zeros(1)}, metrics.weights_path(net))
    metrics._lpips.cache_clear()
    for net in metrics.WEIGHT_FILES:
        assert metrics.weights_fault(net) in (
            "does not load (UnpicklingError)",
            "does not load (EOFError)",
            "does not hold this network's weights",
        )
    with pytest.raises(WeightsMissing, match=r"squeezenet.*does not .*plic doctor --fetch squeeze"):
        metrics.LPIPS("squeeze")
    row = metrics.quality(photo, photo)
    assert [name for name, value in row.items() if name not in ("psnr", "ms_ssim") and value is not None] == []
    assert sets.SetQuality().kinds == {}


def test_weights_that_would_run_code_are_not_loaded(monkeypatch, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "it ran",)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"features.8.bias": Trap()}, metrics.weights_path("alex"))
    with pytest.raises(WeightsMissing, match="does not load"):
        metrics.LPIPS("alex")
    assert not (tmp_path / "it ran").exists()


def test_weights_that_are_only_in_part_those_of_the_network_are_missing(monkeypatch, tmp_path, photo):
    """They load, and even have the layer that tells networks apart."""
    pytest.importorskip("lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    metrics._lpips.cache_clear()
    (tmp_path / "checkpoints").mkdir()
    for net in ("alex", "squeeze"):
        torch.save({metrics.OWN_LAYERS[net]: torch.zeros(1)}, metrics.weights_path(net))
        with pytest.raises(WeightsMissing, match=f"{metrics.WEIGHT_FILES[net]} holds only a part.*--fetch {net}"):
            metrics.LPIPS(net)
        assert metrics.lpips_or_none(photo, photo, net) is None


def test_l1_is_in_grey_levels():
    assert losses.l1(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)).item() == pytest.approx(127.5)


def test_samples_need_a_package_and_say_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImageError, match="scikit-image, which is not installed"):
        datasets.sample("coffee")


def test_samples_are_photographs():
    for name in datasets.SAMPLES:
        x = datasets.sample(name)
        assert x.shape[0] == 3 and min(x.shape[1:]) >= 300 and x.std() > 0.1
    with pytest.raises(ValueError, match="astronaut"):
        datasets.sample("nobody")


def test_kid_is_the_double_sum():
    a, b = torch.randn(5, 4), torch.randn(7, 4)
    k = lambda p, q: float((p @ q / 4 + 1) ** 3)
    expected = sum(k(p, q) for i, p in enumerate(a) for j, q in enumerate(a) if i != j) / 20
    expected += sum(k(p, q) for i, p in enumerate(b) for j, q in enumerate(b) if i != j) / 42
    expected -= 2 * sum(k(p, q) for p in a for q in b) / 35
    assert metrics.kid(a, b) == pytest.approx(expected, rel=1e-5)


def test_kid_tells_sources_apart():
    torch.manual_seed(0)
    same = metrics.kid(torch.randn(300, 16), torch.randn(300, 16))
    other = metrics.kid(torch.randn(300, 16), torch.randn(300, 16) * 1.3 + 0.2)
    assert abs(same) < 0.1 * other


def test_kid_on_alexnet_features_grows_with_the_damage(needs_lpips, photo):
    blurred = images.to_tensor(images.to_image(photo).reduce(4).resize((192, 128)))
    features = [metrics.lpips_patch_features(x, size=64) for x in (photo, (photo + 0.02).clamp(0, 1), blurred)]
    assert features[0].shape == (6 + 2, 256)
    assert metrics.kid(features[0], features[1]) < metrics.kid(features[0], features[2])


def test_pairs_of_pictures_make_the_kid_of_any_choice_of_them(monkeypatch):
    """Against the three means, written out, over all pairs of patches that come from different pictures."""
    monkeypatch.setattr(metrics, "weights_fault", lambda net: None)  # no network is asked
    torch.manual_seed(0)
    whole = sets.SetQuality()
    whole.kinds = {"squeeze": lambda x: x}
    originals, decoded = torch.randn(4, 3, 5), torch.randn(4, 3, 5) + 0.5  # of four pictures three patches each, five features
    for x, x_hat in zip(originals, decoded):
        whole.add(x, x_hat)
    pairs = whole.squeeze_pairs()
    assert [len(row) for row in pairs] == [3, 2, 1, 0]
    for chosen in ([0, 1, 2, 3], [2, 0, 2]):
        k = lambda p, q: (p @ q.T / 5 + 1) ** 3
        kept = torch.tensor([[i != j for j in chosen] for i in chosen]).repeat_interleave(3, 0).repeat_interleave(3, 1)
        a, b = (side[chosen].flatten(0, 1) for side in (originals, decoded))
        expected = (k(a, a) + k(b, b) - 2 * k(a, b))[kept].mean()
        assert compare._average(pairs, chosen) == pytest.approx(float(expected), rel=1e-4)
    assert whole.figures()["kid_squeeze"] == pytest.approx(compare._average(pairs, [0, 1, 2, 3]))


def test_patches_cover_the_grid_and_the_grid_between(photo):
    found = metrics.patches(photo, 64)
    assert found.shape == (6 + 2, 3, 64, 64)
    assert torch.equal(found[1], photo[:, :64, 64:128]) and torch.equal(found[7], photo[:, 32:96, 96:160])
    assert metrics.patches(photo, 256).shape == (0, 3, 256, 256)


def test_fid_is_the_distance_of_two_gaussians():
    torch.manual_seed(0)
    a, b = torch.randn(4000, 3), 2 * torch.randn(4000, 3) + torch.tensor([1.0, 0.0, 0.0])
    assert metrics.fid(a, a) == pytest.approx(0, abs=1e-3) and metrics.fid(a, b) == pytest.approx(1 + 3, rel=0.1)


def test_quality_has_every_metric_and_says_none_for_missing_weights(monkeypatch, tmp_path, photo):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    metrics._lpips.cache_clear()
    row = metrics.quality(photo, (photo + 0.05).clamp(0, 1))
    # MS-SSIM: the picture is too small for it
    assert row["psnr"] > 25 and {name for name, value in row.items() if value is None} == row.keys() - {"psnr"}
    whole = sets.SetQuality()
    whole.add(photo, photo)
    assert whole.figures() == {"patches": 0, "kid_alexnet": None, "kid_squeeze": None, "kid": None, "fid": None}


def test_dists_and_inception_with_random_weights(monkeypatch, tmp_path):
    """Their weights are large and seldom there; with random ones the code around them runs all the same."""
    import torchvision
    from torch_fidelity import feature_extractor_inceptionv3 as inception

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({metrics.OWN_LAYERS["vgg"]: torch.zeros(1)}, metrics.weights_path("vgg"))
    narrow = torchvision.models.vgg16(weights=None, init_weights=False).features
    monkeypatch.setattr("torchmetrics.functional.image.dists.vgg16", lambda weights: torch.nn.ModuleDict({"features": narrow}))
    monkeypatch.setattr(metrics, "_lpips", lambda net: (_ for _ in ()).throw(WeightsMissing(net)))
    x = datasets.sample("coffee")[:, :256, :320]
    damaged = (x + 0.1 * torch.randn(x.shape)).clamp(0, 1)
    assert metrics.quality(x, x)["dists"] == pytest.approx(0, abs=1e-4) and metrics.quality(x, damaged)["dists"] > 0.001

    torch.manual_seed(0)
    monkeypatch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.save({metrics.OWN_LAYERS["inception"]: torch.zeros(1)}, metrics.weights_path("inception"))
    whole = sets.SetQuality()
    whole.add(datasets.sample("astronaut"), (datasets.sample("astronaut") + 0.1).clamp(0, 1))
    figures = whole.figures()
    assert figures["patches"] == 5 and figures["fid"] > 0 and figures["kid"] is not None and figures["kid_alexnet"] is None
    metrics._dists.cache_clear(), metrics._inception.cache_clear()
