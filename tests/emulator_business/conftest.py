import pytest
from biztalk_emulator.business.tracking import TrackingDatabase


@pytest.fixture
def tracking(tmp_path):
    return TrackingDatabase(tmp_path / "tracking.db")
