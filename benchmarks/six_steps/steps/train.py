from steps.files import array, command, kept
from steps.maths import weights


def train(features: str, out: str, ridge: float) -> str:
    return kept(out, "train.npy", weights(array(features), ridge))


if __name__ == "__main__":
    command(train)
