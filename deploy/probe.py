"""Is the process at port 8000, or at the port that is given, ready? Exit code 0 when GET /readyz is answered 200."""

import socket
import sys

QUESTION = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

with socket.create_connection(("127.0.0.1", int(*sys.argv[1:] or [8000])), timeout=4) as process:
    process.sendall(QUESTION)
    with process.makefile("rb") as answer:
        head = answer.readline()
        told = answer.read().rpartition(b"\r\n\r\n")[2]

sys.stdout.write(f"{head.decode().strip()} {told.decode()}\n")
sys.exit(head.split()[1] != b"200")
