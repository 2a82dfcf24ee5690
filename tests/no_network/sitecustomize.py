"""Python imports this at its start when the folder is on PYTHONPATH: no connection leaves the machine."""

import socket

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _check(sock, address):
    local = sock.family not in (socket.AF_INET, socket.AF_INET6) or address[0] in ("127.0.0.1", "::1", "localhost")
    if not local:
        raise OSError(f"the network is blocked in this test; something asked for {address!r}")


def _blocked_connect(sock, address):
    _check(sock, address)
    return _connect(sock, address)


def _blocked_connect_ex(sock, address):
    _check(sock, address)
    return _connect_ex(sock, address)


socket.socket.connect, socket.socket.connect_ex = _blocked_connect, _blocked_connect_ex
