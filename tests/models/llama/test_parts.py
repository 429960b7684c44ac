from __future__ import annotations

import struct
from pathlib import Path

import pytest
from gguf import GGUFReader

from agentd.errors import ModelError
from agentd.models.library.shelf import Shelf
from agentd.models.llama import files, parts
from agentd.testing.gguf import chain, write_table_model


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The first of three parts; the tensors lie in the second and the third."""
    path = tmp_path / "whole.gguf"
    write_table_model(path, chain("\n", "Hello"))
    return split(path, tmp_path / "m", 3)


def split(path: Path, stem: Path, count: int) -> Path:
    """Write the file in so many parts, as gguf-split does, with the vocabulary in a separate part; the first part."""
    data = path.read_bytes()
    _, version, tensors, pairs = struct.unpack_from("<4sIQQ", data)
    reader = GGUFReader(path)
    infos = [tensor.field for tensor in reader.tensors]
    head = data[24 : infos[0].offset]
    per = -(-tensors // (count - 1))
    names = [stem.with_name(f"{stem.name}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    for number, name in enumerate(names):
        mine = reader.tensors[per * (number - 1) : per * number] if number else []
        extra = pair("split.no", number) + pair("split.count", count) + pair("split.tensors.count", tensors)
        body = struct.pack("<4sIQQ", b"GGUF", version, len(mine), (0 if number else pairs) + 3)
        body += (b"" if number else head) + extra
        blobs = b""
        for tensor in mine:
            shape = b"".join(struct.pack("<Q", int(size)) for size in tensor.shape)
            body += struct.pack("<Q", len(tensor.name)) + tensor.name.encode() + struct.pack("<I", len(tensor.shape))
            body += shape + struct.pack("<IQ", int(tensor.tensor_type), len(blobs))
            blobs += tensor.data.tobytes()
            blobs += bytes(-len(blobs) % 32)
        name.write_bytes(body + bytes(-len(body) % 32) + blobs)
    return names[0]


def pair(key: str, value: int) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IH", 2, value)


def test_all_parts_count_for_size_memory_and_types(first: Path, tmp_path: Path) -> None:
    gguf, whole = files.inspect(first), files.inspect(tmp_path / "whole.gguf")
    assert gguf.size == sum(part.stat().st_size for part in parts.there(first)) > whole.size
    assert (gguf.types, gguf.cache_bytes) == (whole.types, whole.cache_bytes)
    assert files.memory_of(gguf, context=100) >= files.memory_of(whole, context=100)


def test_a_part_that_is_not_the_first_is_refused_with_the_name_of_the_first(first: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r" part 2 .* 3 parts; .* m-00001-of-00003\.gguf"):
        files.inspect(tmp_path / "m-00002-of-00003.gguf")
    renamed = tmp_path / "other.gguf"
    (tmp_path / "m-00003-of-00003.gguf").rename(renamed)
    with pytest.raises(ModelError, match=r" part 3 .* 3 parts; .* -00001-of-00003"):
        files.inspect(renamed)


def test_a_part_that_is_missing_cut_off_or_cannot_be_found_is_named(first: Path, tmp_path: Path) -> None:
    last = tmp_path / "m-00003-of-00003.gguf"
    data = last.read_bytes()
    last.write_bytes(data[:-100])
    with pytest.raises(ModelError, match=r"m-00003-of-00003\.gguf is cut off"):
        files.inspect(first)
    last.unlink()
    with pytest.raises(ModelError, match=r"m-00003-of-00003\.gguf is missing"):
        files.inspect(first)
    renamed = tmp_path / "m.gguf"
    first.rename(renamed)
    with pytest.raises(ModelError, match=r"original name.* -00001-of-00003"):
        files.inspect(renamed)


def test_a_header_that_promises_too_many_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-65535.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + pair("split.count", 65_535))
    with pytest.raises(ModelError, match="promises 65535 parts"):
        files.inspect(path)


def test_the_shelf_shows_a_model_once_with_all_its_bytes_and_removes_all_of_it(first: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.directory.mkdir()
    for part in parts.there(first):
        part.rename(shelf.directory / part.name)
    (model,) = shelf.models()
    assert model.name == "m-00001-of-00003"
    assert model.size == sum(part.stat().st_size for part in shelf.directory.iterdir())
    shelf.remove(model.name)
    assert not list(shelf.directory.glob("*.gguf"))
