"""The document that describes the gateway: OpenAPI 3.1, made of the same structs that read the bodies."""
