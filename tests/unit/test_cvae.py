"""The conditional VAE: what must hold for any weights."""

import copy

import pytest
import torch

from rainshaft.models.cvae import CONTEXT_WIDTH, CVAEArchitecture, RainCVAE, SharedConv, conserve_cells, gaussian_kl
from rainshaft.models.grids import bilinear, block_sum


def build(factor=4, conserve="cells", prior="learned", statics=("elevation",), rain_channel="pr", **options):
    torch.manual_seed(0)
    architecture = CVAEArchitecture(("pr", "tas"), statics, rain_channel, factor, 8, (2, 1), prior, conserve, **options)
    mean, std = torch.tensor([0.0, 280.0]), torch.tensor([1.5, 10.0])
    model = RainCVAE(architecture, mean, std, 1.2)
    torch.nn.init.normal_(model.out.weight, std=0.5)  # as after training: the fresh network is the bilinear forecast
    return model


def inputs(model, batch=2, rows=3, columns=5):
    f = model.architecture.factor
    generator = torch.Generator().manual_seed(1)
    rain = torch.rand(batch, 1, rows, columns, generator=generator) * 20
    rain[:, :, 0, 0] = 0
    temperature = 280 + torch.randn(batch, 1, rows, columns, generator=generator)
    statics = torch.randn(batch, len(model.architecture.statics), rows * f, columns * f, generator=generator)
    valid = torch.ones(batch, 1, rows * f, columns * f)
    return torch.cat([rain, temperature], 1), statics, valid


def noise(model, members, rows=3, columns=5, seed=2):
    generator = torch.Generator().manual_seed(seed)
    shapes = model.architecture.latent_shapes(rows, columns)
    return [torch.randn(members, *shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize(
    ("factor", "steps"), [(2, (2,)), (7, (7,)), (8, (2, 2, 2)), (12, (3, 2, 2)), (30, (5, 3, 2)), (9, (3, 3))]
)
def test_any_integer_factor_is_split_into_primes(factor, steps):
    architecture = CVAEArchitecture(("pr",), (), "pr", factor, 8, (4, 2), "learned", "cells")
    assert architecture.steps == steps
    shapes = architecture.latent_shapes(13, 11)
    assert shapes[0] == (4, 13, 11)
    assert shapes[-1][1:] == (13 * factor, 11 * factor)
    assert all(channels == 2 for channels, _, _ in shapes[1:])


def test_coarser_scales_halve_the_coarse_grid_and_leave_the_finer_ones_alone():
    architecture = build(6).architecture
    deeper = build(6, coarser_scales=2).architecture
    assert deeper.steps == (2, 2, 3, 2)
    assert deeper.latent_shapes(13, 11)[:2] == [(2, 4, 3), (1, 8, 6)]  # up to the next whole cells of the coarsest
    assert [shape[1:] for shape in deeper.latent_shapes(12, 8)[2:]] == [
        shape[1:] for shape in architecture.latent_shapes(12, 8)
    ]
    assert deeper.widths[2:] == architecture.widths


@pytest.mark.parametrize("coarser", [0, 1, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 7, 12])
def test_any_factor_and_non_square_grids_give_the_fine_grid(factor, coarser):
    model = build(factor, coarser_scales=coarser, interpolate=factor == 1)
    coarse, statics, valid = inputs(model)
    rain, kl = model(model.encode_predictors(coarse, statics, valid), noise(model, 6))
    assert rain.shape == (2, 3, 3 * factor, 5 * factor)
    assert kl == []
    assert torch.isfinite(rain).all()


def farthest_change(model, factor):
    """How many blocks away the rain changes where an input changes; all is computed in double precision."""
    model = model.double()
    reach, block = model.architecture.reach, model.architecture.block
    x, statics, valid = (t.double() for t in inputs(model, 1, 1, (2 * reach + 4) * block))
    z = [n.double() for n in noise(model, 1, 1, (2 * reach + 4) * block)]

    def rain(x):
        return model(model.encode_predictors(x, statics, valid), z)[0][0, 0].unflatten(1, (-1, factor * block))

    changed = x.clone()
    changed[..., (reach + 2) * block] += 5
    far = (rain(changed) - rain(x)).abs().amax((0, 2)).nonzero().squeeze() - (reach + 2)
    return int(far.abs().max())


@pytest.mark.parametrize(("factor", "coarser"), [(2, 0), (3, 0), (6, 0), (8, 0), (2, 1), (3, 2), (1, 0), (1, 2)])
def test_inputs_beyond_the_reach_change_nothing_and_those_just_within_do(factor, coarser):
    model = build(factor, conserve="none", coarser_scales=coarser, interpolate=factor == 1)
    assert farthest_change(model, factor) in (model.architecture.reach - 1, model.architecture.reach)


@pytest.mark.parametrize(("factor", "smoothings"), [(2, 1), (8, 1), (8, 2), (6, 3)])
def test_interpolated_factors_reach_as_far_as_they_say(factor, smoothings):
    model = build(factor, smoothings=smoothings)
    torch.nn.init.constant_(model.out.bias, 3.0)  # wet everywhere
    plain = build(factor)
    torch.nn.init.constant_(plain.out.bias, 3.0)
    assert farthest_change(plain, factor) < farthest_change(model, factor) <= model.architecture.reach


@pytest.mark.parametrize("coarser", [0, 2])
def test_latents_of_every_scale_reach_the_rain_from_the_start(coarser):
    model = build(8, conserve="none", coarser_scales=coarser)
    given, z = model.encode_predictors(*inputs(model, 1, 8, 8)), noise(model, 8, 8, 8)

    @torch.no_grad()
    def spread(varied):
        """Standard deviation of members that share the noise of all scales but those that are varied."""
        mine = [n if level in varied else n[:1].expand_as(n) for level, n in enumerate(z)]
        return float(model(given, mine)[0].std(1).mean())

    scales = range(model.architecture.scales)
    shares = [spread([level]) / spread(scales) for level in scales]
    assert min(shares) > 0.05, "training switches off what hardly shows"


def test_13_x_11_makes_156_x_132():
    model = build(12)
    coarse, statics, valid = inputs(model, 1, 13, 11)
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 1, 13, 11))
    assert rain.shape == (1, 1, 156, 132)


def test_rain_is_never_negative_and_dry_in_is_exactly_dry_out():
    model = build()
    coarse, statics, valid = inputs(model)
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 8))
    assert rain.min() == 0
    assert (rain[:, :, :4, :4] == 0).all()  # the dry coarse cell
    assert (rain[:, :, 4:] > 0).any()
    coarse[:, 0] = 0
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 8))
    assert (rain == 0).all()


@pytest.mark.parametrize("smoothings", [0, 1, 3])
def test_every_coarse_cell_keeps_its_mass(smoothings):
    model = build(smoothings=smoothings)
    coarse, statics, valid = inputs(model)
    valid[:, :, 4:9, :7] = 0  # one coarse cell, and parts of others
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 8))
    assert (rain[:, :, 4:9, :7] == 0).all()
    cells = block_sum(valid, 4)
    mean = block_sum(rain, 4) / cells.clamp(min=1)
    wet = (cells > 0).expand_as(mean)
    torch.testing.assert_close(mean[wet], coarse[:, :1].expand_as(mean)[wet], atol=1e-3, rtol=1e-5)


def test_without_conserve_the_mass_is_free():
    model = build(conserve="none")
    coarse, statics, valid = inputs(model)
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 8))
    assert not torch.allclose(block_sum(rain, 4) / 16, coarse[:, :1].expand(-1, 4, -1, -1), atol=0.5)


def test_conserve_cells_fills_a_wet_cell_that_was_left_empty():
    valid, coarse = torch.ones(1, 1, 8, 8), torch.tensor([[[[4.0, 0.0], [1.0, 2.0]]]])
    potential = torch.full((1, 3, 8, 8), -3.0)
    potential[:, :, 1, 2] = -1.0
    rain = conserve_cells(torch.zeros(1, 3, 8, 8), potential, coarse, valid, 4, 1)
    torch.testing.assert_close(block_sum(rain, 4) / 16, coarse.expand(1, 3, 2, 2))
    assert (rain[0, 0, :4, :4] > 0).sum() == 1  # it falls where the network was nearest to rain
    assert rain[0, 0, 1, 2] == 64


def test_interpolated_factors_leave_no_edges_where_the_network_is_smooth():
    """The network rains evenly, but too little in one of two cells and too much in the other."""
    coarse, valid = torch.tensor([[[[9.0, 3.0, 3.0, 9.0]]]]), torch.ones(1, 1, 4, 16)
    even = torch.full((1, 1, 4, 16), 5.0)
    jumps = []
    for smoothings in (0, 1, 2, 4):
        rain = conserve_cells(even, even, coarse, valid, 4, smoothings)
        torch.testing.assert_close(block_sum(rain, 4) / 16, coarse)
        steps = rain[0, 0, 0].diff().abs()
        jumps.append(float(steps[3::4].mean() / steps.mean()))
    assert jumps[0] > 4
    assert jumps[1] < 2
    assert jumps[2] < 1.5
    assert jumps[3] < 1.5


def test_a_coarse_cell_without_observations_does_not_leak_into_its_neighbours():
    valid = torch.ones(1, 1, 4, 12)
    valid[..., :4] = 0
    coarse, even = torch.tensor([[[[7.0, 3.0, 3.0]]]]), torch.full((1, 1, 4, 12), 3.0)
    potential = even.masked_fill(valid == 0, -torch.inf)
    rain = conserve_cells(torch.relu(potential), potential, coarse, valid, 4, 2)
    torch.testing.assert_close(rain[..., 4:], even[..., 4:])
    assert (rain[..., :4] == 0).all()


@pytest.mark.parametrize("coarse", [1e-3, 1.0, 30.0, 300.0])
def test_the_gradient_of_an_empty_cell_is_that_of_others(coarse):
    """The network works in the unit 1 + coarse rain; in this unit an empty cell must not outweigh all others."""
    gradients = []
    for start in (-5.0, 0.5):
        output = torch.full((1, 1, 8, 8), start).requires_grad_()
        potential = coarse + output * (1 + coarse) if start > 0 else output * (1 + coarse)
        truth = torch.zeros(1, 1, 8, 8)
        truth[..., 0, 0] = 64 * coarse
        rain = conserve_cells(torch.relu(potential), potential, torch.full((1, 1, 1, 1), coarse), valid_8(), 8, 1)
        (rain - truth).abs().mean().backward()
        gradients.append(float(output.grad.abs().max()))
    assert gradients[0] < 20 * gradients[1]


def valid_8():
    return torch.ones(1, 1, 8, 8)


def test_a_fresh_network_is_the_bilinear_forecast():
    model = build(conserve="none")
    torch.nn.init.zeros_(model.out.weight)
    coarse, statics, valid = inputs(model)
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 2))
    torch.testing.assert_close(rain, bilinear(coarse[:, :1], 4))


def test_without_a_rain_channel_it_still_rains():
    model = build(conserve="none", rain_channel="")
    coarse, statics, valid = inputs(model)
    rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 8))
    assert (rain > 0).any()


def test_without_a_rain_channel_rain_is_the_cube_of_the_output():
    model = build(conserve="none", rain_channel="")
    torch.nn.init.zeros_(model.out.weight)
    coarse, statics, valid = inputs(model)
    for output, expected in ((6.0, 26.0), (-1.0, 0.0), (-9.0, 0.0)):
        torch.nn.init.constant_(model.out.bias, output)
        rain, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 2))
        torch.testing.assert_close(rain, torch.full_like(rain, expected) * valid[:, None, 0])


def build_with_context(channels=("pr", "tas"), shape=(5, 7)):
    torch.manual_seed(0)
    rain_channel, few = "pr" if channels else "", len(channels)
    architecture = CVAEArchitecture(channels, ("north",), rain_channel, 4, 8, (2, 1), "learned", "none", ("msl", "z"))
    mean, std = torch.tensor([0.0, 280.0])[:few], torch.tensor([1.5, 10.0])[:few]
    model = RainCVAE(architecture, mean, std, 1.2, 1e5 + torch.randn(2, *shape) * 500, torch.tensor([800.0, 90.0]))
    torch.nn.init.normal_(model.out.weight, std=0.5)
    return model


def weather(model, batch=2):
    encoder, generator = model.context_encoder, torch.Generator().manual_seed(3)
    return encoder.mean + encoder.std * torch.randn(batch, *encoder.mean.shape, generator=generator)


def test_without_context_the_network_has_nothing_of_it():
    names = {name for name, _ in [*build().named_parameters(), *build().named_buffers()]}
    assert not {name for name in names if "context" in name}
    parts = (build(), build_with_context())
    first = [part.x_pyramid.blocks[0].first.parts[0].weight.shape[1] for part in parts]
    assert first == [3, 3 + CONTEXT_WIDTH]


@pytest.mark.parametrize("channels", [("pr", "tas"), ()], ids=["coarse rain", "no coarse channel"])
def test_context_tells_prior_and_posterior_of_the_day(channels):
    model = build_with_context(channels)
    coarse, statics, valid = inputs(model)
    coarse, context = coarse[:, : len(channels)], weather(model)
    other = context.clone()
    other[:, :, :1] += model.context_encoder.std  # a high in the north

    def rain(context, mode):
        seen = model.encode_observation(coarse, statics, valid * 3, context) if mode == "posterior" else None
        return model(model.encode_predictors(coarse, statics, valid, context), noise(model, 4), seen)[0]

    for mode in ("prior", "posterior"):
        assert torch.isfinite(rain(context, mode)).all()
        assert not torch.allclose(rain(context, mode), rain(other, mode), atol=1e-3)


def test_the_same_low_elsewhere_is_another_weather():
    encoder = build_with_context(shape=(9, 13)).context_encoder
    west, east = encoder.mean.repeat(2, 1, 1, 1)
    west[0, 4, 4] -= 3000
    east[0, 4, 8] -= 3000  # away from the edges, where convolutions alone would make equal features of both
    assert (encoder(west[None]) - encoder(east[None])).abs().max() > 0.01


def test_the_mean_of_the_training_days_is_no_signal_and_anomalies_are_of_order_1():
    model = build_with_context()
    encoder = model.context_encoder
    seen = []
    encoder.layers[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    encoder(encoder.mean.expand(2, -1, -1, -1))
    assert (seen[0] == 0).all()
    encoder((encoder.mean + encoder.std)[None])
    torch.testing.assert_close(seen[1], torch.ones_like(seen[1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("channels", [("pr", "tas"), ()], ids=["coarse rain", "no coarse channel"])
def test_a_fresh_network_can_learn(channels):
    model = build_with_context(channels)
    fresh = RainCVAE(
        model.architecture,
        model.channel_mean,
        model.channel_std,
        1.2,
        model.context_encoder.mean,
        model.context_encoder.std,
    )
    coarse, statics, valid = inputs(model)
    given = fresh.encode_predictors(coarse[:, : len(channels)], statics, valid, weather(model))
    (fresh(given, noise(model, 2))[0] - 5).square().mean().backward()
    assert fresh.out.weight.grad.abs().max() > 0


def test_members_differ_and_temperature_zero_makes_them_equal():
    model = build()
    given = model.encode_predictors(*inputs(model))
    rain, _ = model(given, noise(model, 8))
    assert (rain[:, 0] - rain[:, 1]).abs().max() > 1e-3
    rain, _ = model(given, noise(model, 8), temperature=0.0)
    assert torch.equal(rain[:, 0], rain[:, 1])


def test_members_do_not_depend_on_the_batch():
    model = build()
    coarse, statics, valid = inputs(model, batch=3)
    draws = noise(model, 6)
    together, _ = model(model.encode_predictors(coarse, statics, valid), draws)
    alone, _ = model(model.encode_predictors(coarse[1:2], statics[1:2], valid[1:2]), [n[2:4] for n in draws])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


def test_posterior_has_a_kl_and_sees_the_truth():
    model = build()
    coarse, statics, valid = inputs(model)
    given = model.encode_predictors(coarse, statics, valid)
    first = model.encode_observation(coarse, statics, torch.rand_like(valid) * 30)
    second = model.encode_observation(coarse, statics, torch.zeros_like(valid))
    rain_a, kl = model(given, noise(model, 2), first)
    rain_b, _ = model(given, noise(model, 2), second)
    assert len(kl) == len(model.architecture.steps) + 1
    assert min(kl) > 0
    assert not torch.equal(rain_a, rain_b)


def test_fewer_scales_of_the_posterior_leave_the_finer_ones_to_the_prior():
    model = build(8)
    coarse, statics, valid = inputs(model)
    given, draws = model.encode_predictors(coarse, statics, valid), noise(model, 8)
    observed = model.encode_observation(coarse, statics, torch.rand_like(valid) * 30)
    whole, kl = model(given, draws, observed)
    for scales in range(1, model.architecture.scales):
        rain, kl_of_few = model(given, draws, observed[:scales])
        torch.testing.assert_close(kl_of_few, kl[:scales])
        assert not torch.equal(rain, whole)
        other = copy.deepcopy(model)
        for head in (*other.posterior[scales:], *other.prior[:scales]):  # nobody asks these
            torch.nn.init.normal_(head.parts[0].weight, std=10)
        assert torch.equal(other(given, draws, observed[:scales])[0], rain)
        torch.nn.init.normal_(other.prior[scales].parts[0].weight, std=10)
        assert not torch.equal(other(given, draws, observed[:scales])[0], rain)


def test_standard_prior_ignores_x():
    model = build(prior="standard")
    coarse, statics, valid = inputs(model)
    before, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 2))
    for head in model.prior:
        torch.nn.init.normal_(head.parts[0].weight, std=10)
    after, _ = model(model.encode_predictors(coarse, statics, valid), noise(model, 2))
    assert torch.equal(before, after)


def test_kl_of_a_gaussian_with_itself_is_zero_and_else_positive():
    p = torch.randn(5), torch.randn(5)
    q = torch.randn(5), torch.randn(5)
    torch.testing.assert_close(gaussian_kl(p, p), torch.zeros(5))
    assert (gaussian_kl(q, p) > 0).all()
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q[0], (q[1] / 2).exp()), torch.distributions.Normal(p[0], (p[1] / 2).exp())
    )
    torch.testing.assert_close(gaussian_kl(q, p), expected)


def test_a_shared_convolution_is_that_of_all_inputs_stacked():
    torch.manual_seed(0)
    shared = SharedConv(4, [3, 2], 3)
    days, members = torch.randn(2, 3, 5, 6), torch.randn(2 * 3, 2, 5, 6)
    stacked = torch.nn.Conv2d(5, 4, 3, padding=1)
    stacked.weight.data = torch.cat([part.weight for part in shared.parts], 1)
    stacked.bias.data = shared.parts[0].bias
    expected = stacked(torch.cat([days.repeat_interleave(3, 0), members], 1))
    torch.testing.assert_close(shared(2, days, members), expected)


def test_the_standard_prior_trains_no_weights_of_its_own():
    assert not any(p.requires_grad for p in build(prior="standard").prior.parameters())
    assert all(p.requires_grad for p in build().parameters())
