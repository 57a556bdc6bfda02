"""A set that changes, and one that changes while a loop goes through it."""

guests = set()
guests.add("alice")
guests.add("bob")
guests.remove("alice")
print(guests)

try:
    for guest in guests:
        guests.add(f"{guest}'s friend")
except RuntimeError as error:
    print("RuntimeError:", error)
