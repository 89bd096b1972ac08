import numpy as np
import pytest

from edge.data import Frame
from edge.errors import UsageError
from edge.postprocess import Postprocess
from edge.smooth import Smoother

RANDOM = np.random.default_rng(3)


def scores(dtype: str, count: int, shape: tuple[int, ...] = (1, 5, 7, 4)) -> list[np.ndarray]:
    if dtype == "float32":
        return [RANDOM.normal(size=shape).astype(np.float32) for _ in range(count)]
    limits = np.iinfo(dtype)
    return [RANDOM.integers(limits.min, limits.max + 1, shape).astype(dtype) for _ in range(count)]


def frame(index: int, t_s: float, size_hw: tuple[int, int] = (20, 30)) -> Frame:
    return Frame(np.zeros((*size_hw, 3), np.uint8), index, t_s)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_two_frames_are_added_up(dtype: str) -> None:
    given, smoother = scores(dtype, 4), Smoother("two")
    found = [smoother(logits) for logits in given]
    assert np.array_equal(found[0].argmax(-1), given[0].argmax(-1))
    for before, now, mixed in zip(given, given[1:], found[1:], strict=False):
        exact = before.astype(np.float64) + now
        assert np.abs(mixed - exact).max() <= (0 if dtype != "float32" else 1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_a_running_mean_weighs_the_newest_frame_as_told(dtype: str) -> None:
    given, smoother = scores(dtype, 6), Smoother("0.3")
    expected = given[0].astype(np.float64)
    assert np.array_equal(smoother(given[0]), given[0])
    for logits in given[1:]:
        expected = 0.3 * logits + 0.7 * expected
        assert np.abs(smoother(logits) - expected).max() < 1e-4


@pytest.mark.parametrize("kind", ["two", "0.4"])
def test_a_flicker_of_one_frame_is_not_seen(kind: str) -> None:
    steady = np.zeros((1, 5, 7, 3), np.int8)
    steady[..., 1] = 60
    flicker = steady.copy()
    flicker[0, 2, 3] = (90, 40, 0)
    smoother, postprocess = Smoother(kind), Postprocess()
    for logits in (steady, steady, flicker, steady):
        assert (postprocess(smoother(logits), (20, 30)).ids == 1).all()
    assert (postprocess(flicker, (20, 30)).ids == 0).any()


@pytest.mark.parametrize("kind", ["two", "0.4"])
def test_results_stay_when_the_engine_uses_its_array_again(kind: str) -> None:
    smoother, (first, second) = Smoother(kind), scores("int8", 2)
    shared = first.copy()
    one = smoother(shared)
    kept = one.copy()
    shared[...] = second
    assert np.array_equal(smoother(shared), (smoother_of(kind, first, second)))
    assert np.array_equal(one, kept)


def smoother_of(kind: str, *given: np.ndarray) -> np.ndarray:
    smoother = Smoother(kind)
    return [smoother(logits) for logits in given][-1]


@pytest.mark.parametrize("kind", ["two", "0.4"])
def test_it_starts_anew_after_a_gap_a_reset_and_with_another_size(kind: str) -> None:
    given = scores("int8", 8)
    alone = [smoother_of(kind, logits) for logits in given]
    smoother = Smoother(kind)
    found = [smoother(logits, frame(i, t)) for i, (logits, t) in enumerate(zip(given, (0, 0.1, 0.2, 3, 3.1, 3.2)))]  # noqa: B905
    assert [np.array_equal(a, b) for a, b in zip(found, alone, strict=False)] == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert np.array_equal(smoother(given[6], frame(6, 3.3, (40, 60))), alone[6]), "another camera mode"
    assert not np.array_equal(smoother(given[7], frame(7, 3.4, (40, 60))), alone[7])
    smoother.reset()
    assert np.array_equal(smoother(given[0], frame(8, 3.5, (40, 60))), alone[0])
    other = scores("int8", 1, (1, 3, 3, 4))[0]
    assert np.array_equal(smoother(other), smoother_of(kind, other)), "another model"


@pytest.mark.parametrize("kind", ["two", "0.4"])
def test_a_slow_machine_is_no_gap(kind: str) -> None:
    given, smoother = scores("int8", 4), Smoother(kind)
    found = [smoother(logits, frame(i, 0.9 + 2.5 * i)) for i, logits in enumerate(given)]
    assert np.array_equal(found[3], smoother_of(kind, *given[1:])), "after the first pause it knows the pace"


def test_scores_that_are_no_numbers_do_not_stay() -> None:
    given = scores("float32", 3)
    given[0][0, 1, 1, 0], given[1][0, 2, 2, 2] = np.nan, np.inf
    for kind in ("two", "0.4"):
        smoother = Smoother(kind)
        found = [smoother(logits) for logits in (*given, *scores("float32", 2))]
        assert np.isfinite(found[-1]).all()


def test_labels_cannot_be_smoothed() -> None:
    with pytest.raises(UsageError, match="class scores"):
        Smoother("two")(np.zeros((1, 5, 7), np.int64))


@pytest.mark.parametrize("kind", ["", "three", "0", "1", "nan", "-0.5", "1.5"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match=f"two.*{kind!r}"):
        Smoother(kind)
