import copy
import io

import pytest

torch = pytest.importorskip("torch", reason="torch is in the torch images only")

from torch.optim import lr_scheduler as schedules  # noqa: E402 - after the skip

from mpijob_runtime.errors import LearningRateError  # noqa: E402
from mpijob_runtime.training import Warmup, scale_learning_rate  # noqa: E402


def plan(world_size, **changes):
    """Return a plan from a base rate of 0.1 for one rank of 32 samples."""
    return scale_learning_rate(0.1, 32, 32, world_size, warmup_steps=4, **changes)


def optimizer(kind=torch.optim.SGD, **options):
    """Return an optimizer with two groups, the second at a tenth of the base rate."""
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    return kind(
        [{"params": first.parameters()}, {"params": second.parameters(), "lr": 0.01}],
        **{"lr": 0.1, **options},
    )


def rates(found):
    """Return the rates of the groups."""
    return [float(group["lr"]) for group in found.param_groups]


def follow(found, schedule, steps):
    """Step and return the first group's rate after each step."""
    seen = []
    for _ in range(steps):
        found.step()
        schedule.step()
        seen.append(rates(found)[0])
    return seen


def saved(*parts):
    """Return the states as they are after torch.save and a safe torch.load."""
    file = io.BytesIO()
    torch.save([copy.deepcopy(part.state_dict()) for part in parts], file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.RMSprop])
def test_apply_scales_each_group(kind):
    """Groups keep their ratio."""
    found = optimizer(kind)
    plan(8, rule="sqrt").apply(found)
    assert rates(found) == pytest.approx([0.1 * 8**0.5, 0.01 * 8**0.5])


def test_a_rate_in_a_tensor_is_changed_in_place():
    """Captured graphs read the tensor."""
    found = optimizer(torch.optim.Adam, lr=torch.tensor(0.1), capturable=False, foreach=False)
    before = found.param_groups[0]["lr"]
    plan(4, rule="sqrt").apply(found)
    assert found.param_groups[0]["lr"] is before
    assert rates(found) == pytest.approx([0.2, 0.02])


def test_a_second_apply_refuses_after_a_checkpoint_too():
    """The mark is in what state_dict saves."""
    first = optimizer()
    plan(8).apply(first)
    (state,) = saved(first)
    resumed = optimizer()
    resumed.load_state_dict(state)
    assert rates(resumed) == pytest.approx([0.8, 0.08])
    for found in (first, resumed):
        with pytest.raises(LearningRateError, match="scaled already"):
            plan(8).apply(found)
        assert rates(found) == pytest.approx([0.8, 0.08])


def test_apply_after_a_scheduler_refuses():
    """The scheduler would bring the first rate back."""
    found = optimizer()
    schedules.StepLR(found, 10)
    with pytest.raises(LearningRateError, match="before schedulers"):
        plan(8).apply(found)


def test_warmup_goes_from_the_base_rate_to_the_scaled_one():
    """Linear in optimizer steps, then constant; each group from its own base."""
    found = optimizer()
    plan(5).apply(found)
    warmup = Warmup(found, 4)
    assert rates(found) == pytest.approx([0.1, 0.01])
    assert follow(found, warmup, 6) == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    assert rates(found) == pytest.approx([0.5, 0.05])


@pytest.mark.parametrize(("world_size", "steps"), [(5, 0), (1, 4)])
def test_nothing_to_warm_is_no_warmup(world_size, steps):
    """Neither without steps nor without a larger rate."""
    found = optimizer()
    plan(world_size).apply(found)
    warmup = Warmup(found, steps)
    assert [*rates(found)[:1], *follow(found, warmup, 3)] == pytest.approx([0.1 * world_size] * 4)


def test_a_smaller_rate_needs_no_warmup():
    """A job with less than the base batch begins with its rate."""
    found = optimizer()
    scale_learning_rate(0.1, 64, 32, 1).apply(found)
    Warmup(found, 4)
    assert rates(found) == pytest.approx([0.05, 0.005])


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_resumed_schedule_goes_on_where_it_was(stop):
    """Warm-up and cosine after it, saved and loaded at any step, give the same rates."""

    def start():
        found = optimizer()
        plan(8).apply(found)
        parts = [Warmup(found, 4), schedules.CosineAnnealingLR(found, 6)]
        return found, schedules.SequentialLR(found, parts, milestones=[4])

    whole = follow(*start(), 9)
    found, schedule = start()
    before = follow(found, schedule, stop)
    states = saved(found, schedule)
    found, schedule = start()
    found.load_state_dict(states[0])
    schedule.load_state_dict(states[1])
    assert before + follow(found, schedule, 9 - stop) == pytest.approx(whole)
    assert max(whole) == pytest.approx(0.8)


def test_warmup_in_a_chain_multiplies():
    """ChainedScheduler: a decay acts during warm-up as well."""
    found = optimizer()
    plan(4).apply(found)
    chain = schedules.ChainedScheduler([Warmup(found, 3), schedules.ExponentialLR(found, 0.5)])
    assert follow(found, chain, 4) == pytest.approx([0.2 / 2, 0.3 / 4, 0.4 / 8, 0.4 / 16])


@pytest.mark.parametrize("steps", [-1, 1.5, True, "4"])
def test_warmup_refuses_what_is_no_number_of_steps(steps):
    """As plans do."""
    found = optimizer()
    plan(4).apply(found)
    with pytest.raises(LearningRateError, match="steps: found"):
        Warmup(found, steps)


def test_warmup_without_a_plan_refuses():
    """It would not know where to begin."""
    with pytest.raises(LearningRateError, match="never scaled"):
        Warmup(optimizer(), 4)


def test_warmup_made_after_the_checkpoint_refuses():
    """Torch would begin the warm-up anew and end it at the wrong rate."""
    first = optimizer()
    plan(8).apply(first)
    Warmup(first, 4)
    resumed = optimizer()
    resumed.load_state_dict(saved(first)[0])
    with pytest.raises(LearningRateError, match="begin anew"):
        Warmup(resumed, 4)


def resized(steps, kind, *, to):
    """Train for some steps with 8 ranks, go on with others, and return optimizer and schedule."""

    def start(world_size):
        found = optimizer()
        plan(world_size).apply(found)
        return found, SCHEDULES[kind](found)

    found, schedule = start(8)
    follow(found, schedule, steps)
    states = saved(found, schedule)
    found, schedule = start(8)
    found.load_state_dict(states[0])
    schedule.load_state_dict(states[1])
    for world_size in to:
        plan(world_size).reapply(found, schedule)
    return found, schedule


SCHEDULES = {
    "warmup": lambda found: Warmup(found, 4),
    "step": lambda found: schedules.StepLR(found, 3, gamma=0.1),
    "lambda": lambda found: schedules.LambdaLR(found, lambda step: 1 / (1 + step)),
    "sequence": lambda found: schedules.SequentialLR(
        found, [Warmup(found, 4), schedules.CosineAnnealingLR(found, 6)], milestones=[4]
    ),
    "chain": lambda found: schedules.ChainedScheduler(
        [Warmup(found, 4), schedules.StepLR(found, 3, gamma=0.1)]
    ),
}


@pytest.mark.parametrize("steps", [0, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_another_world_has_the_rates_it_would_have_had_from_the_start(kind, steps):
    """8 ranks, then 6, then 4: the same as 4 all the time, at this step and after it."""
    found, schedule = resized(steps, kind, to=(6, 4))
    straight = optimizer()
    plan(4).apply(straight)
    whole = follow(straight, SCHEDULES[kind](straight), steps + 4)
    assert follow(found, schedule, 4) == pytest.approx(whole[steps:])


def test_resizing_back_is_exact():
    """Rates come from the base, so nothing adds up."""
    found = optimizer()
    plan(8).apply(found)
    before = rates(found)
    for world_size in (7, 3, 11, 8):
        plan(world_size).reapply(found)
    assert rates(found) == before


def test_reapply_without_apply_refuses():
    """There is no base to derive from."""
    with pytest.raises(LearningRateError, match="never scaled"):
        plan(4).reapply(optimizer())


def test_reapply_from_another_base_refuses():
    """The checkpoint's base rate is not the plan's."""
    found = optimizer()
    plan(8).apply(found)
    with pytest.raises(LearningRateError, match="wanted the plan's"):
        scale_learning_rate(0.3, 32, 32, 4).reapply(found)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad])
def test_linear_scaling_of_an_adaptive_optimizer_is_warned_of(kind):
    """The linear rule is derived for SGD."""
    found = optimizer(kind)
    with pytest.warns(UserWarning, match="linear rule is for SGD"):
        plan(4).apply(found)


def test_sgd_with_the_linear_rule_is_not_warned_of(recwarn):
    """Nor is Adam with the square root."""
    plan(4).apply(optimizer())
    plan(4, rule="sqrt").apply(optimizer(torch.optim.AdamW))
    assert not recwarn
