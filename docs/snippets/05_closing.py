"""A block that closes what it opened, and an exception that goes no further."""

from contextlib import closing, suppress


class Shop:
    def close(self):
        print("the shop is closed")


with closing(Shop()), suppress(ValueError):
    print("apples cost", int("7"))
    print("pears cost", int("seven"))
print("and the program continues")
