package cmd

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"husk/web"
	"husk/web/gate"
)

// The files of proxies are templates, one for each proxy. What is put into them
// was checked before: a host, an address, a path of a narrow form. So nothing that
// is given can be more of such a file than the value that it is.
//
//go:embed proxy_*.tmpl
var proxyTemplates embed.FS

// proxyKinds are the proxies that a file is made for.
var proxyKinds = []string{"nginx", "caddy", "traefik", "haproxy", "envoy"}

// luaOfHAProxy is the name of the file that haproxy.cfg looks for beside itself.
const luaOfHAProxy = "haproxy.lua"

// proxyOptions are the flags of proxy config.
type proxyOptions struct {
	apps      []string
	listen    string
	cert, key string
	lua       bool
}

func (a *app) proxyConfigCommand() *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "config PROXY",
		Short: "Print the configuration of a proxy that asks Husk before each request",
		Long: `Print the whole configuration of nginx, caddy, traefik, haproxy or envoy: each
request for an application is first asked about at Husk, which lets it pass, leads
to the sign-in, or refuses it. The applications are the hosts of the rules under
gate in the configuration file; --app tells where one is. A host whose rule has an
upstream, and no --app, is handed to Husk, which is its proxy.

Husk itself is served at the host of gate.login_url, or --public-url, whose scheme
and port the proxy listens at. Where that is https, nginx, haproxy, traefik and
envoy need a certificate: --cert and --key name one for all hosts. HAProxy wants
both in one file, and an action in Lua beside its file, which --lua prints.

Nothing is asked of Husk, and nothing is changed. The proxy's own check comes next:
nginx -t, caddy validate, haproxy -c.`,
		Example: `  husk proxy config nginx --app wiki.example.com=http://127.0.0.1:8080 >/etc/nginx/nginx.conf
  husk proxy config caddy --config /etc/husk/husk.yaml >/etc/caddy/Caddyfile
  husk proxy config haproxy --lua >/etc/haproxy/haproxy.lua`,
		Args: one("the PROXY: " + strings.Join(proxyKinds, ", ")),
		RunE: func(_ *cobra.Command, args []string) error { return a.proxyConfig(args[0], o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.apps, "app", nil, "HOST=UPSTREAM: an application and where it is, such as wiki.example.com=http://127.0.0.1:8080; repeatable")
	f.StringVar(&o.listen, "listen", "", "address that the proxy listens on, HOST:PORT (default: all, at the port of the sign-in's address)")
	f.Var(newPath(""), "cert", "PEM file with the certificate for all hosts")
	f.Var(newPath(""), "key", "PEM file with its private key")
	f.BoolVar(&o.lua, "lua", false, "print the Lua file that haproxy.cfg looks for beside itself, as "+luaOfHAProxy)
	addSettingFlags(f, "addr", "public-url", "trusted-proxy")
	cmd.PreRun = func(*cobra.Command, []string) { o.cert, o.key = text(f, "cert"), text(f, "key") }
	return cmd
}

// addSettingFlags adds some of the flags of serve.
func addSettingFlags(f *pflag.FlagSet, names ...string) {
	all := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addServeFlags(all)
	for _, name := range names {
		f.AddFlag(all.Lookup(name))
	}
}

func (a *app) proxyConfig(kind string, o proxyOptions) error {
	if !slices.Contains(proxyKinds, kind) {
		next := "it is one of " + strings.Join(proxyKinds, ", ")
		if near := nearest(kind, proxyKinds); near != "" {
			next = "did you mean " + near + "?"
		}
		return usage("husk makes no file for that proxy", next)
	}
	if o.lua {
		if kind != "haproxy" {
			return usage("--lua is for haproxy alone", "leave it out")
		}
		return a.printProxyFile("proxy_haproxy_lua.tmpl", proxyFile{})
	}
	file, err := a.proxyFile(kind, o)
	if err != nil {
		return err
	}
	a.adviseOnProxy(kind, file)
	return a.printProxyFile("proxy_"+kind+".tmpl", file)
}

// printProxyFile fills a template in. Nothing is printed of a file that fails.
func (a *app) printProxyFile(name string, file proxyFile) error {
	t, err := template.New(name).Funcs(templateParts).ParseFS(proxyTemplates, name)
	var out strings.Builder
	if err == nil {
		err = t.Execute(&out, file)
	}
	if err != nil {
		return fmt.Errorf("fill in %s: %w", name, err)
	}
	_, err = fmt.Fprint(a.stdout, out.String())
	return err
}

// filePart is what a part of a template is filled with that is about one host.
type filePart struct {
	File proxyFile
	App  proxyApp
}

// filePair is filePart for a certificate.
type filePair struct {
	TLS       bool
	Cert, Key string
}

// templateParts make what parts of templates are filled with.
var templateParts = template.FuncMap{
	"part":  func(p proxyFile, app proxyApp) filePart { return filePart{p, app} },
	"pair":  func(p proxyFile, host string) filePair { return filePair{p.TLS, p.CertOf(host), p.KeyOf(host)} },
	"slice": func(all ...string) []string { return all },
	"lower": strings.ToLower,
	"self":  func(p proxyFile) proxyApp { return proxyApp{Host: p.Self} },
}

// adviseOnProxy says what Husk has to be told for the file to work.
func (a *app) adviseOnProxy(kind string, file proxyFile) {
	if len(a.settings.TrustedProxies) == 0 {
		from, line := ", with the address that "+kind+" connects from", "trusted-proxy: [ADDRESS]"
		if ip, err := netip.ParseAddr(file.Husk.Host); err == nil && ip.IsLoopback() {
			from, line = "", `trusted-proxy: [127.0.0.1, "::1"]`
		}
		a.warn("trusted-proxy is empty: Husk answers the questions of no proxy then (400), and %s refuses everybody; add to Husk's configuration file the line '%s'%s", kind, line, from)
	}
	if file.At == file.Husk.Port && (file.Bind == "" || file.Bind == file.Husk.Host) {
		a.warn("%s would listen at %s, where Husk does: give one of them another port, with --listen or addr", kind, file.Listen)
	}
	if kind == "haproxy" {
		a.say("It looks for %s beside itself: husk proxy config haproxy --lua >%s", luaOfHAProxy, luaOfHAProxy)
	}
}

// proxyFile is what a template is filled with.
type proxyFile struct {
	Husk     upstream // where it is asked
	Self     string   // the host that is Husk's own
	TLS      bool     // browsers speak https
	Port     string   // that browsers ask at
	Suffix   string   // :PORT where a browser shows it, else empty
	Listen   string   // HOST:PORT, or :PORT for all addresses
	At       string   // the port of Listen
	Bind     string   // the host of Listen; empty: all
	Cert     string   // PEM file for all hosts; empty: the proxy's usual one
	Key      string
	Apps     []proxyApp
	Own      []string // patterns of an Authorization that is Husk's
	OwnOne   string   // the same as one pattern
	Identity []string // headers that say who somebody is
}

// Scheme is what browsers speak.
func (p proxyFile) Scheme() string {
	if p.TLS {
		return "https"
	}
	return "http"
}

// Redirects tells whether the proxy leads http to https: where both have their
// usual ports, and nothing else was asked for.
func (p proxyFile) Redirects() bool { return p.TLS && p.Listen == ":443" }

// CertOf and KeyOf are the files for a host, by default those of certbot.
func (p proxyFile) CertOf(host string) string { return p.pemOf(p.Cert, host, "fullchain.pem") }

// KeyOf is the file with the private key for a host.
func (p proxyFile) KeyOf(host string) string { return p.pemOf(p.Key, host, "privkey.pem") }

func (p proxyFile) pemOf(given, host, name string) string {
	if given != "" {
		return given
	}
	return "/etc/letsencrypt/live/" + strings.TrimPrefix(host, "*.") + "/" + name
}

// proxyApp is an application.
type proxyApp struct {
	Name     string // for what a proxy names
	Host     string // folded; may begin with *.
	Husks    bool   // Husk is its proxy
	Upstream upstream
}

// Under is what comes after the * of a host, or empty.
func (p proxyApp) Under() string {
	if under, wild := strings.CutPrefix(p.Host, "*"); wild {
		return under
	}
	return ""
}

// Pattern is a regular expression of the hosts.
func (p proxyApp) Pattern() string {
	return strings.Replace(regexp.QuoteMeta(p.Host), `\*`, `[^.]+`, 1)
}

// upstream is where a proxy connects to.
type upstream struct {
	TLS        bool
	Host, Port string
}

// Addr is HOST:PORT.
func (u upstream) Addr() string { return net.JoinHostPort(u.Host, u.Port) }

// URL is the upstream with its scheme.
func (u upstream) URL() string {
	if u.TLS {
		return "https://" + u.Addr()
	}
	return "http://" + u.Addr()
}

// IsName tells whether a host has to be looked up.
func (u upstream) IsName() bool {
	_, err := netip.ParseAddr(u.Host)
	return err != nil
}

// identityHeaders say to an application who somebody is.
var identityHeaders = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"}

func (a *app) proxyFile(kind string, o proxyOptions) (proxyFile, error) {
	own := ownAuthorization()
	p := proxyFile{Cert: o.cert, Key: o.key, Own: own, OwnOne: strings.Join(own, "|"), Identity: identityHeaders}
	rules, faults := a.gateRules()
	if err := a.refuse(faults); err != nil {
		return p, err
	}
	login := a.settings.PublicURL
	if rules != nil {
		login = cmp.Or(rules.LoginURL(), login)
	}
	var err error
	if p.Husk, err = a.huskForProxy(); err != nil {
		return p, err
	}
	if err := cmp.Or(p.setSelf(login), p.setListen(o.listen), p.checkCert(kind)); err != nil {
		return p, err
	}
	p.Apps, err = a.proxyApps(o.apps, p.Self, hostsOfRules(rules))
	return p, err
}

// huskForProxy is where the proxy finds Husk: on this machine, where that listens
// on all of its addresses.
func (a *app) huskForProxy() (upstream, error) {
	host, port, err := net.SplitHostPort(a.settings.Addr)
	if err != nil {
		return upstream{}, fmt.Errorf("read addr: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if len(a.settings.TLSCerts) > 0 {
		return upstream{}, usage("Husk speaks TLS by itself (tls-cert), and the proxy is to do that for it", "take tls-cert and tls-key out of Husk's settings, and give them to the proxy with --cert and --key")
	}
	u, err := readUpstream("http://" + net.JoinHostPort(host, port))
	if err != nil {
		return u, usage("addr is no address where a proxy finds Husk", "set addr to HOST:PORT, such as 127.0.0.1:9000")
	}
	return u, nil
}

// setSelf takes the address at which browsers find Husk.
func (p *proxyFile) setSelf(login string) error {
	if login == "" {
		return usage("it is not known where people sign in", "set gate.login_url or public-url in the configuration file, or give --public-url https://auth.example.com")
	}
	origin, err := web.ParseOrigin(login)
	if err != nil {
		return usage("the address where people sign in: "+err.Error(), "")
	}
	u, err := url.Parse(origin)
	if err == nil {
		p.Self, err = gate.FoldHost(u.Hostname())
	}
	if err != nil || strings.Contains(p.Self, ":") {
		return usage("the address where people sign in has no host that a proxy can serve beside others", "give it a name, such as https://auth.example.com")
	}
	p.TLS, p.Port, p.Suffix = u.Scheme == "https", u.Port(), ""
	if p.Port != "" {
		p.Suffix = ":" + p.Port
	} else if p.Port = "80"; p.TLS {
		p.Port = "443"
	}
	return nil
}

func (p *proxyFile) setListen(listen string) error {
	if listen == "" {
		listen = ":" + p.Port
	}
	host, port, err := net.SplitHostPort(listen)
	if ip, e := netip.ParseAddr(host); err == nil && host != "" && (e != nil || ip.Zone() != "") {
		err = errors.New("no address")
	}
	if err != nil || !isPortNumber(port) {
		return usage("--listen is no address to listen on", "it is HOST:PORT with an address and a number, such as 10.0.0.7:443 or :8443")
	}
	p.Listen, p.Bind, p.At = listen, host, port
	return nil
}

func isPortNumber(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text == strconv.FormatUint(n, 10)
}

// plainFile is the name of a file that has no sign with a meaning in any of the
// files of proxies.
var plainFile = regexp.MustCompile(`^/[A-Za-z0-9_./@+-]+$`)

func (p *proxyFile) checkCert(kind string) error {
	for _, f := range []struct{ flag, path string }{{"--cert", p.Cert}, {"--key", p.Key}} {
		if f.path != "" && !plainFile.MatchString(f.path) {
			return usage(f.flag+" can't stand in the file of a proxy", "name it by its whole path, of letters, digits and _ . / @ + -")
		}
	}
	switch {
	case p.Cert == "" && p.Key == "":
		return nil
	case !p.TLS:
		return usage("--cert is of no use: the address where people sign in is http", "make gate.login_url or public-url https, or leave it out")
	case kind == "haproxy" && (p.Cert == "" || p.Key != ""):
		return usage("haproxy takes the certificate and its key from one file", "put both into it, the certificate first, and name it with --cert alone")
	case kind != "haproxy" && (p.Cert == "" || p.Key == ""):
		return usage("--cert and --key go together", "give both")
	}
	return nil
}

// proxyRule is what the rules say of a host.
type proxyRule struct {
	host  string // folded
	husks bool   // a rule has an upstream: Husk is its proxy
}

func (r proxyRule) covers(host string) bool { return r.host == host || gate.HostFits(r.host, host) }

// hostsOfRules are the hosts of the gate's rules, each once, in their order. A rule
// for any host names none that a proxy could be told of.
func hostsOfRules(rules *gate.Rules) (all []proxyRule) {
	if rules == nil {
		return nil
	}
	for _, rule := range rules.List() {
		host, err := gate.FoldHostPattern(rule.Host)
		if rule.Host == gate.AnyHost || err != nil {
			continue
		}
		husks := rule.UpstreamURL != ""
		if i := slices.IndexFunc(all, func(r proxyRule) bool { return r.host == host }); i >= 0 {
			all[i].husks = all[i].husks || husks
			continue
		}
		all = append(all, proxyRule{host, husks})
	}
	return all
}

// proxyApps puts together what --app and the rules name. Whoever leaves out where
// an application is, is told; the host is not served then.
func (a *app) proxyApps(given []string, self string, rules []proxyRule) (apps []proxyApp, err error) {
	for _, text := range given {
		app, err := readApp(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(apps, func(b proxyApp) bool { return b.Host == app.Host }) {
			return nil, usage("--app names "+app.Host+" twice", "give each host once")
		}
		apps = append(apps, app)
	}
	a.adviseOnRules(apps, rules)
	for _, r := range rules {
		switch {
		case r.host == self, slices.ContainsFunc(apps, func(b proxyApp) bool { return r.covers(b.Host) }):
		case strings.Contains(r.host, ":"):
			a.warn("the rules name the address %s, which is left out: a proxy tells applications apart by their names", r.host)
		case r.husks:
			apps = append(apps, proxyApp{Host: r.host, Husks: true})
		default:
			a.warn("the rules name %s, and nothing says where that is: it is left out; add --app '%s=http://127.0.0.1:PORT'", r.host, r.host)
		}
	}
	for i := range apps {
		apps[i].Name = "app" + strconv.Itoa(i+1)
		if apps[i].Host == self {
			return nil, usage(self+" is Husk's own host, and no application's", "give the application a host of its own")
		}
	}
	if len(apps) == 0 {
		return nil, usage("there is no application to put Husk before", "give --app HOST=UPSTREAM, or rules in the configuration file")
	}
	return apps, nil
}

// adviseOnRules says which hosts nobody would be let into.
func (a *app) adviseOnRules(apps []proxyApp, rules []proxyRule) {
	var bare []string
	for _, app := range apps {
		if !slices.ContainsFunc(rules, func(r proxyRule) bool { return r.covers(app.Host) }) {
			bare = append(bare, app.Host)
		}
	}
	if len(bare) > 0 {
		a.warn("no rule is for %s: Husk refuses all that is asked there; under gate and rules of its configuration file add '- {host: \"%s\", require: any}'", strings.Join(bare, ", "), bare[0])
	}
}

const appForm = "it is HOST=UPSTREAM, such as wiki.example.com=http://127.0.0.1:8080; *.example.com stands for one label"

func readApp(text string) (proxyApp, error) {
	host, to, found := strings.Cut(text, "=")
	folded, err := gate.FoldHostPattern(strings.TrimSpace(host))
	if !found || err != nil || strings.Contains(folded, ":") {
		return proxyApp{}, usage("an --app has no host, or one that none can have", appForm)
	}
	u, err := readUpstream(to)
	if err != nil {
		return proxyApp{}, usage("the --app of "+folded+": "+err.Error(), appForm)
	}
	return proxyApp{Host: folded, Upstream: u}, nil
}

// upstreamHost is a name that has no sign with a meaning in any of the files.
var upstreamHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// readUpstream reads http://HOST:PORT, https://HOST:PORT or HOST:PORT.
func readUpstream(text string) (upstream, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return upstream{}, errors.New("the UPSTREAM is scheme, host and port, without a path")
	}
	out := upstream{Host: u.Hostname(), Port: u.Port()}
	switch u.Scheme {
	case "http":
	case "https":
		out.TLS = true
	default:
		return upstream{}, errors.New("the UPSTREAM is http or https")
	}
	if out.Port == "" {
		out.Port = map[bool]string{false: "80", true: "443"}[out.TLS]
	}
	ip, err := netip.ParseAddr(out.Host)
	if !isPortNumber(out.Port) || (err != nil && !upstreamHost.MatchString(out.Host)) || ip.Zone() != "" {
		return upstream{}, errors.New("the UPSTREAM has no host and port that can be asked")
	}
	return out, nil
}
