import pytest

from sbir_toolkit.params import Gate
from sbir_toolkit.quality import decide, evaluate_gates

from .frames import metric_rows


def decide_on(value, **actions):
    gates = {
        name: Gate(metric="m", fail_below=0.5, warn_below=0.7, action=action)
        for name, action in actions.items()
    }
    return decide(evaluate_gates(metric_rows(("m", "all", value, value * 100, 100)), gates))


@pytest.mark.parametrize(
    ("actions", "overall", "exit_code"),
    [
        ({"a": "continue"}, "continue", 0),
        ({"a": "continue", "b": "block"}, "block", 3),
        ({"a": "stop", "b": "block"}, "stop", 3),
    ],
)
def test_the_farthest_reaching_action_wins(actions, overall, exit_code):
    """Failed gates lead to the farthest-reaching of their actions, with the exit code that goes with it."""
    decision = decide_on(0.4, **actions)
    assert (decision.overall, decision.exit_code) == (overall, exit_code)
    assert dict(decision.actions) == actions
    assert len(decision.sentences) == len(actions)


@pytest.mark.parametrize("value", [0.6, 0.9])
def test_warned_and_passed_gates_hold_nothing_up(value):
    """Only a failed gate has a consequence."""
    decision = decide_on(value, a="stop")
    assert (decision.overall, decision.exit_code, decision.actions["a"]) == ("continue", 0, "continue")


def test_sentences():
    """A sentence names the gate, the value, the threshold and what follows."""
    assert decide_on(0.4, a="block").sentences == (
        "Gate a: fail. M is 40 % (40 of 100), below 50 %; stages that ask for this gate don't run.",
    )
    assert decide_on(0.9, a="block").sentences == ("All 1 gates passed; the run goes on.",)
    assert decide_on(0.9).sentences == ("No gate is set; the run goes on.",)


def test_shows_itself():
    """The decision reads well as text and as HTML."""
    decision = decide_on(0.4, a="stop")
    assert repr(decision).startswith("Decision: stop")
    assert "<li>" in decision._repr_html_()


def test_overruled_and_degraded():
    """An overruled gate is told with who and why; a degrading one leaves a mark that says what failed."""
    gates = {name: Gate(metric="m", fail_below=0.5, action=name) for name in ("degrade", "stop")}
    rows = metric_rows(("m", "all", 0.4, 40, 100))
    decision = decide(evaluate_gates(rows, gates, None, {"stop": "Ada: known"}))
    assert (decision.overall, decision.exit_code, decision.gates("degrade")) == ("degrade", 0, ["degrade"])
    assert decision.marks == ("gate degrade failed: m is 40 % (40 of 100), below 50 %",)
    assert any("overruled by Ada: known; the run goes on" in sentence for sentence in decision.sentences)
