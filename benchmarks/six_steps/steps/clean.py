from steps.files import array, command, kept
from steps.maths import inliers


def clean(load: str, out: str) -> str:
    rows = array(load)
    return kept(out, "clean.npy", rows[inliers(rows)])


if __name__ == "__main__":
    command(clean)
