"use strict";

// What the viewer shows here as it does not by itself. The page has its heading and its
// title already. A path inside of the button that opens an operation would be a link
// inside of a button; the address still tells which operation is open. A button with
// words is called by them, and one with a cross alone has a name.
const inHusk = ({ React: { createElement } }) => ({
  components: { DeepLink: ({ text }) => createElement("span", null, text) },
  wrapComponents: {
    InfoContainer: () => ({ specSelectors, getComponent }) =>
      createElement("div", { className: "info" }, createElement(getComponent("Markdown", true), { source: specSelectors.info().get("description") })),
    Button: Original => ({ "aria-label": unspoken, ...rest }) => createElement(Original, rest),
    CloseIcon: Original => props => createElement(Original, { ...props, role: "img", "aria-hidden": "false", "aria-label": "Close" }),
  },
});

// Nothing of the address bar is read: url and configUrl would let a link show
// another document under this server's name.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [inHusk],
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
