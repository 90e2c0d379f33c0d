import numpy as np
import pytest

from pipeline.order.keys import derive_key, mix, stream


def test_stream_is_splitmix64() -> None:
    # The published test vector of SplitMix64, seed 1234567 (rosettacode.org, "Pseudo-random numbers/Splitmix64").
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert stream(1234567, np.arange(4)).tolist() == expected


def test_stream_takes_a_key_for_each_index() -> None:
    keys = np.array([5, 9], dtype=np.uint64)
    both = stream(keys[:, None], np.arange(3)[None, :])
    assert both.tolist() == [stream(5, np.arange(3)).tolist(), stream(9, np.arange(3)).tolist()]


def test_mix_changes_about_half_of_the_bits() -> None:
    words = np.arange(1000, dtype=np.uint64)
    for bit in (0, 1, 31, 62, 63):
        flipped = mix(words) ^ mix(words ^ np.uint64(1 << bit))
        share = np.unpackbits(flipped.view(np.uint8)).mean()
        assert share == pytest.approx(0.5, abs=0.01)


def test_keys_depend_on_seed_and_each_word_of_the_purpose() -> None:
    keys = [derive_key(17, "source", "c4"), derive_key(18, "source", "c4"), derive_key(17, "source", "c5")]
    keys += [derive_key(17, "lanes", "c4"), derive_key(-17, "source", "c4"), derive_key(1, "7", "source", "c4")]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)


def test_keys_are_frozen() -> None:
    assert derive_key(17, "source", "c4") == 10629358706069046986
