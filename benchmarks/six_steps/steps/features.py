from steps.files import array, command, kept
from steps.maths import standardised


def features(clean: str, out: str) -> str:
    scale = 1.0
    return kept(out, "features.npy", standardised(array(clean), scale))


if __name__ == "__main__":
    command(features)
