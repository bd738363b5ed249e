"""What a mock keeps of what it heard."""

from polyvox.testing import ReceivedRequest


def test_the_repr_masks_keys_and_nothing_else():
    headers = {
        "authorization": "Bearer k-1",
        "x-api-key": "k-2",
        "api-key": "k-3",
        "x-goog-api-key": "k-4",
        "accept": "*/*",
    }
    shown = repr(ReceivedRequest("POST", "/v1/models?key=k-5&page=2", headers, b"{}"))
    assert "k-" not in shown.replace("x-api-key", "").replace("api-key", "")
    assert "'accept': '*/*'" in shown
    assert "?key=***&page=2" in shown
    assert "body=b'{}'" in shown
    assert headers["x-api-key"] == "k-2"
