"""A decorator that notes down functions."""

menu = []


def on_the_menu(cook):
    menu.append(cook)
    return cook


@on_the_menu
def soup():
    return "a bowl of soup"


for cook in menu:
    print(cook())
