"""Bytes that are UTF-8, and bytes that are not."""

print(b"caf\xc3\xa9\r\n".decode().rstrip("\r\n"))
try:
    b"caf\xe9".decode()
except UnicodeDecodeError as error:
    print("UnicodeDecodeError:", error.reason)
    print("a ValueError, too:", isinstance(error, ValueError))
