import pytest

from mpijob_runtime.masking import MASK, is_secret, masked_text, shown_value


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "WANDB_API_KEY",
        "OMPI_MPIJOB_ENV_WANDB_API_KEY",
        "DB_PASSWORD",
        "db_password",
        "PASSPHRASE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "REGISTRY_AUTH",
        "PRIVATE_KEY",
        "APIKEY",
        "PGPASSWORD",
        "MYSQL_PWD",
        "SSH_PRIVATE_KEY",
        "GITHUB_PAT",
        "DJANGO_SECRET",
    ],
)
def test_secrets_are_masked(name):
    """A value whose name says that it is secret is never shown."""
    assert is_secret(name)
    assert shown_value(name, "hunter2") == MASK


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PWD_X",
        "OMPI_MCA_pml",
        "EPOCHS",
        "PATTERN",
        "KEYBOARD",
        "TOKENIZERS_PARALLELISM",
        "AUTHOR",
    ],
)
def test_ordinary_values_are_shown(name):
    """Masking what is no secret would only hide mistakes."""
    assert shown_value(name, "value") == "value"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_is_shown_as_missing(value):
    """A mask over nothing would say that something is there."""
    assert shown_value("HF_TOKEN", value) == value


@pytest.mark.parametrize("value", ["https://me:hunter2@store/x", "redis://:hunter2@cache"])
def test_a_password_in_an_address_is_masked_whatever_the_name(value):
    """An URL with a user's password in it is a secret."""
    assert shown_value("STORE", value) == MASK


@pytest.mark.parametrize(
    "text",
    [
        "curl --header Authorization: Bearer hunter2 x",
        "run --api-key=hunter2 --epochs 3",
        "run --token hunter2",
        "HF_TOKEN=hunter2 python train.py",
        "https://ghp_hunter2hunter2@store/x",
        "run --env=HF_TOKEN=hunter2 x",
        "https://store/x?a=b&api_key=hunter2",
        "sbatch --export=ALL,HF_TOKEN=hunter2",
        "curl -H Authorization: hunter2 --epochs 3",
        "headers {'Authorization': 'Bearer hunter2'}",
        '{"user": "me", "password": "my hunter2"}',
        "run --password='my hunter2' x",
    ],
)
def test_secrets_inside_of_a_text_are_masked(text):
    """Arguments, headers, assignments and tokens in place of a user."""
    assert "hunter2" not in masked_text(text)
    assert MASK in masked_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "epochs=3 lr = 0.1",
        "the token was wrong",
        "--tokens-per-step 8192",
        "max_tokens=4096 pad_token_id=0",
    ],
)
def test_what_only_sounds_like_a_secret_is_shown(text):
    """Prose, and options of other names."""
    assert masked_text(text) == text


@pytest.mark.parametrize("value", ["https://me@store/x", "http://store:80/a@b", "tcp://w0:29500"])
def test_an_address_without_a_password_is_shown(value):
    """Ports and plain user names are no secrets."""
    assert shown_value("STORE", value) == value


@pytest.mark.parametrize(
    "piece", ["a-", "://a:", "a=", "a ", "--a ", "'a': ", '"', "authorization "]
)
def test_long_texts_take_no_longer_than_they_are_long(piece):
    """A variable may have 128 KiB, and what a job says a megabyte: 50 times a text 50 times."""
    assert masked_text(piece * 200_000) == piece * 200_000
