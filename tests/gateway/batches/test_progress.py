"""What has become of lines, read again after an end at any byte."""

from pathlib import Path

import pytest

from polyvox.gateway.batches.progress import Progress


def written(folder: Path) -> bytes:
    progress = Progress(folder, "batch_1", 1, 3)
    progress.begin(0)
    progress.begin(1)
    progress.end(0, b'{"a": 1}', good=True)
    progress.give_back(1)
    progress.begin(1)
    progress.end(1, b'{"b": 2}', good=False)
    progress.begin(2)
    progress.force()
    progress.close()
    return (folder / "batch_1.1.log").read_bytes()


def test_wherever_the_file_is_cut_off_what_stands_before_is_known(tmp_path: Path):
    whole = written(tmp_path)
    for cut in range(len(whole) + 1):
        kept = whole[:cut].rpartition(b"\n")[0] + b"\n"
        (tmp_path / "batch_1.1.log").write_bytes(whole[:cut])
        progress = Progress(tmp_path, "batch_1", 2, 3)
        assert progress.is_done(0) == (b"D 0 " in kept)
        assert progress.is_done(1) == (b"D 1 " in kept)
        assert [*progress.left()] == [n for n in range(3) if f"D {n} ".encode() not in kept]
        progress.close()
        (tmp_path / "batch_1.2.log").unlink()


def test_everything_is_written_in_the_order_of_the_lines_from_all_turns(tmp_path: Path):
    written(tmp_path)
    progress = Progress(tmp_path, "batch_1", 2, 3)
    progress.end(2, b'{"c": 3}', good=True)
    sizes = progress.write(tmp_path / "good", tmp_path / "bad", lambda line: b"none")
    assert (tmp_path / "good").read_bytes() == b'{"a": 1}\n{"c": 3}\n'
    assert (tmp_path / "bad").read_bytes() == b'{"b": 2}\n'
    assert (sizes.answers, sizes.errors) == (18, 9)
    assert (progress.completed, progress.failed) == (2, 1)
    progress.forget()
    assert not [*tmp_path.glob("*.log")]


def test_of_two_answers_to_a_line_the_first_stands(tmp_path: Path):
    """A process that was thought dead may still have told one."""
    written(tmp_path)
    progress = Progress(tmp_path, "batch_1", 2, 3)
    progress.end(0, b'{"late": 1}', good=True)
    progress.write(tmp_path / "good", tmp_path / "bad", lambda line: b"none")
    assert (tmp_path / "good").read_bytes() == b'{"a": 1}\n'
    assert progress.completed == 1
    progress.close()


def test_what_does_not_fit_on_the_disk_is_not_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import os

    progress = Progress(tmp_path, "batch_1", 1, 2)
    real = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 8:
            raise OSError(28, "No space left on device")
        return real(file, bytes(data[:8]))

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        progress.end(0, b'{"a": 1}', good=True)
    monkeypatch.undo()
    assert not progress.is_done(0)
    progress.end(1, b'{"b": 2}', good=True)
    progress.close()
    assert (tmp_path / "batch_1.1.log").read_bytes() == b'D 1 1 {"b": 2}\n'
