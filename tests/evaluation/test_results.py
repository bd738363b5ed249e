"""The file of results: whatever happens to it, nothing that is whole is lost or written over."""

from pathlib import Path

import pytest

from polyvox.errors import ConfigurationError
from polyvox.evaluation import Result
from polyvox.evaluation.results import ResultsFile

ONE = Result(model="m", case="one", digest="d1", score=1.0, correct=True, text="größer")
TWO = Result(model="m", case="two", digest="d2", score=0.0)


def written(path: Path, *results: Result) -> bytes:
    file = ResultsFile(path)
    for result in results:
        file.append(result)
    file.close()
    return path.read_bytes()


def read(path: Path) -> list[Result]:
    file = ResultsFile(path)
    file.close()
    return list(file.done.values())


def test_results_come_back_as_they_were(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    written(path, ONE, TWO)
    assert read(path) == [ONE, TWO]


def test_cut_at_any_byte_it_holds_every_whole_result_and_goes_on(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    whole = written(path, ONE, TWO)
    lines = whole.splitlines(keepends=True)
    ends = [len(lines[0] + lines[1]), len(whole)]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read(path) == [ONE, TWO][: sum(end <= length for end in ends)]
        written(path, TWO)
        assert read(path)[-1] == TWO


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path):
    path = tmp_path / "cases.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "b"')
    with pytest.raises(ConfigurationError, match="no file of an evaluation's results"):
        ResultsFile(path)
    assert path.read_text() == '{"prompt": "a"}\n{"prompt": "b"'


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no such devices")
@pytest.mark.parametrize("place", ["/dev/zero", "/dev"])
def test_what_is_no_file_at_all_is_not_read(place: str):
    with pytest.raises(ConfigurationError, match="something else"):
        ResultsFile(place)


def test_a_line_in_the_midst_that_is_no_result_is_told(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    whole = written(path, ONE)
    path.write_bytes(whole + b'{"case": 3}\n')
    with pytest.raises(ConfigurationError, match=r"line 3: this is no result"):
        ResultsFile(path)
    assert path.read_bytes() == whole + b'{"case": 3}\n'


def test_an_answer_stands_before_errors_and_the_newest_before_older_ones(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    broken = Result(model="m", case="one", digest="d1", error={"text": "it broke"})
    again = Result(model="m", case="one", digest="d1", error={"text": "again"})
    written(path, broken, again)
    assert read(path) == [again]
    written(path, ONE, broken)
    assert read(path) == [ONE]


def test_two_evaluations_that_begin_a_file_at_once_both_go_on(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    head = written(path)
    path.write_bytes(head + head)
    written(path, ONE)
    assert read(path) == [ONE]
