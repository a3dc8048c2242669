// Draws the HTTP API's description; the validator's badge would be loaded from another host.

window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", validatorUrl: null });
