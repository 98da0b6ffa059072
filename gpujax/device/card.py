"""placeholder"""


def stored_card(hardware, platform):
    return None
