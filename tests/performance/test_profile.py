import pytest

from sbir_toolkit.errors import StageError
from sbir_toolkit.performance.profile import compare_profiles, profile_program, read_functions


def told(**functions):
    """Give scalene's JSON of a run of 10 s with these functions: percent of Python, native code, system."""
    rows = [
        {"line": name, "n_cpu_percent_python": python, "n_cpu_percent_c": native, "n_sys_percent": system}
        | {"n_peak_mb": 0.0, "n_copy_mb_s": 0.0}
        for name, (python, native, system) in functions.items()
    ]
    return {"elapsed_time_sec": 10.0, "files": {"/x/sbir_toolkit/matching/match.py": {"functions": rows}}}


def test_functions_are_read():
    """Percent become seconds, the dearest function comes first, and trifles are left out."""
    frame = read_functions(told(small=(5, 1, 0), large=(10, 20, 5), trifle=(0.1, 0, 0)))
    assert frame["function"].tolist() == ["matching/match.py: large", "matching/match.py: small"]
    assert frame.iloc[0][["python_s", "native_s", "system_s", "cpu_s", "share"]].tolist() == pytest.approx(
        [1.0, 2.0, 0.5, 3.5, 0.35]
    )


def test_profiles_are_held_against_each_other():
    """The function that changed most comes first; one that is new counts whole."""
    table = compare_profiles(
        read_functions(told(a=(10, 0, 0), b=(5, 0, 0))), read_functions(told(a=(60, 0, 0)))
    )
    assert table["function"].tolist() == ["matching/match.py: a", "matching/match.py: b"]
    assert table["changed_s"].tolist() == pytest.approx([5.0, -0.5])


def test_a_program_is_profiled_for_real(tmp_path):
    """A function of the package that is kept busy stands first; a program that fails is refused."""
    program = tmp_path / "program.py"
    program.write_text(
        "from sbir_toolkit.versions import code_digest\n"
        "for _ in range(25):\n    code_digest.__wrapped__('matching', 'sources', 'pipeline', 'reports')\n"
    )
    frame = profile_program(program, [], tmp_path / "p.json", has_memory=False, env={})
    assert frame["function"].iloc[0] == "versions.py: code_digest"
    assert frame["cpu_s"].iloc[0] > 0
    program.write_text("raise SystemExit('no such thing')")
    with pytest.raises(StageError, match="scalene gave no profile"):
        profile_program(program, [], tmp_path / "p.json", has_memory=False, env={})
