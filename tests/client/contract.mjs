// Whether a document is valid OpenAPI.

import { Validator } from "@seriousme/openapi-schema-validator";
import { given } from "./stack.mjs";

const { valid, errors = [] } = await new Validator().validate(given);
console.log(JSON.stringify({ valid, errors }));
