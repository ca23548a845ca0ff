package cmd

import (
	"github.com/spf13/cobra"
)

func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask how husk is; for containers and monitors",
		Long: `Ask how husk is. It needs no credential. It ends with 0 when the answer is green,
6 when no answer comes, 7 when it is not green. Where no server runs, the store
itself is asked, and the answer says so.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				h, err := s.Health(cmd.Context())
				if err != nil {
					return err
				}
				if a.settings.JSON {
					err = a.printJSON(h)
				} else {
					err = a.pairs("status", h.Status, "version", h.Version, "answered by", s.name)
				}
				if err == nil && h.Status != "green" {
					err = &failure{code: exitInvalid, what: "husk is " + h.Status, next: "see its log, and 'husk check'"}
				}
				return err
			})
		},
	}
}
