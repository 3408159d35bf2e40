"""What the tests over real sockets share: the binary under test, upstreams, clients, and waiting without luck."""
