package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file says in Husk's words what the libraries for flags refuse.

// checkFlagGroups checks which flags exclude each other and which are needed,
// as the commands declare it to cobra.
func checkFlagGroups(cmd *cobra.Command) error {
	if err := checkEmpty(cmd); err != nil || cmd.ValidateFlagGroups() == nil {
		return err
	}
	next := "see '" + cmd.CommandPath() + " --help'"
	for _, group := range annotated(cmd, "cobra_annotation_mutually_exclusive") {
		if given := changed(cmd, group); len(given) > 1 {
			return usage(strings.Join(given, " and ")+" exclude each other", next)
		}
	}
	for _, group := range annotated(cmd, "cobra_annotation_one_required") {
		if len(changed(cmd, group)) == 0 {
			what := strings.Join(dashed(group), " and ")
			if len(group) > 1 {
				what = "one of " + what
			}
			return usage(what+" is needed", next)
		}
	}
	return usage("the flags do not go together", next)
}

// neverEmpty are flags that say whose things a command makes or ends. Given
// empty, as an unset variable leaves them, they would be as if they were not
// given: an administrator's token in the place of somebody's.
var neverEmpty = []string{"user", "owner", "url", "from", "method"}

func checkEmpty(cmd *cobra.Command) error {
	for _, name := range neverEmpty {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usage("--"+name+" is empty", "give it a value, or leave it out")
		}
	}
	return nil
}

// annotated returns the groups of flags under cobra's name for their kind.
func annotated(cmd *cobra.Command, kind string) (groups [][]string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		for _, group := range f.Annotations[kind] {
			groups = append(groups, strings.Fields(group))
		}
	})
	return groups
}

func changed(cmd *cobra.Command, names []string) (given []string) {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	return given
}

func dashed(names []string) (flags []string) {
	for _, name := range names {
		flags = append(flags, "--"+name)
	}
	return flags
}

// flagError makes a usage error of what pflag refused, with a hint for a
// mistyped name.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	next := "see '" + cmd.CommandPath() + " --help'"
	switch {
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == recipientKind:
		// Not repeated: it may be the secret half of the pair.
		return usage("--"+invalid.GetFlag().Name+": "+errRecipient.Error(), next)
	case errors.As(err, &invalid):
		return usage(fmt.Sprintf("--%s %q: %v", invalid.GetFlag().Name, invalid.GetValue(), valueError(invalid.GetFlag().Value, invalid.Unwrap())), next)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		name := unknown.GetSpecifiedName()
		if near := nearest(name, flagNames(cmd)); near != "" {
			next = "did you mean --" + near + "?"
		} else if sub, _, err := cmd.Find([]string{name}); err == nil && sub != cmd {
			next = "did you mean '" + sub.CommandPath() + "'?" // as husk --version
		}
	}
	return usage(err.Error(), next)
}

// valueError says what kind of value v takes, where err is the word of a
// library.
func valueError(v pflag.Value, err error) error {
	switch {
	case err != nil && v.Type() == "bool":
		return errors.New("it is true or false")
	case err != nil && strings.HasPrefix(v.Type(), "int"):
		return errors.New("it is a whole number")
	}
	return err
}
