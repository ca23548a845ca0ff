"use strict";

// Nothing of the address bar is read: url and configUrl would let a link show
// another document under this server's name.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  queryConfigEnabled: false,
  validatorUrl: null,
  persistAuthorization: false,
  docExpansion: "list",
  filter: true,
  showExtensions: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: false,
  syntaxHighlight: false,
});
