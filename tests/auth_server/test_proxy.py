"""Who counts as the sender of a request, with a proxy and without."""

import pytest

from auth_server.proxy import BehindProxy

PROXY = "127.0.0.1"


def sender(remote, said=None):
    seen = []

    def application(environ, start_response):
        seen.append(environ["REMOTE_ADDR"])
        return [b"answer"]

    environ = {"REMOTE_ADDR": remote} | ({} if said is None else {"HTTP_X_FORWARDED_FOR": said})
    assert BehindProxy(application, PROXY)(environ, None) == [b"answer"]
    return seen[0]


@pytest.mark.parametrize(
    ("said", "is_seen"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        # What the client wrote itself stands before what the proxy added.
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.1,nonsense", PROXY),
        ("nonsense", PROXY),
        ("", PROXY),
        (None, PROXY),
    ],
)
def test_the_proxys_last_word_counts(said, is_seen):
    assert sender(PROXY, said) == is_seen


def test_nobody_else_is_believed():
    assert sender("192.0.2.9", "192.0.2.7") == "192.0.2.9"
