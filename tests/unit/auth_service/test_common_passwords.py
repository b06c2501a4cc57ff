"""What everybody chooses, nobody may."""

import pytest

from auth_service.wordlist import _digests, is_common


@pytest.mark.parametrize("password", ["password", "12345678", "1234567890", "qwertyuiop", "iloveyou", "Trustno1"])
def test_what_everybody_chooses_is_common_in_whatever_case(password):
    assert is_common(password)


@pytest.mark.parametrize("password", ["correct horse battery", "password of mine", "", "ünïcode ✓"])
def test_what_hardly_anybody_chooses_is_not(password):
    assert not is_common(password)


def test_there_are_three_thousand_of_them():
    assert len(_digests()) == 3000
