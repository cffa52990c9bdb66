"""What a request must hold, as models; and every mistake in it in one sentence.

Rule: strict, and nothing unknown is let through.
"""

from typing import TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest

Body = TypeVar("Body", bound=BaseModel)


def read(model: type[Body]) -> Body:
    """Errors: BadRequest, with every mistake."""
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        raise BadRequest(mistakes(error)) from None


def mistakes(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'the body'}: {item['msg']}"
        for item in error.errors(include_url=False)
    )
