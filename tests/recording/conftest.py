"""What the tests of recordings share."""

import jaxtyping
import pytest


@pytest.fixture
def annotations_unchecked():
    """As users run it: wrong shapes and dtypes meet our own messages, not the type checker of the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
