from steps.files import array, command, kept
from steps.maths import packed


def package(train: str, evaluate: str, out: str) -> str:
    return kept(out, "package.zip", packed(array(train), float(array(evaluate))))


if __name__ == "__main__":
    command(package)
