package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cert-manager/cert-manager/internal/webhook/admission/resourcevalidation"
	"github.com/cert-manager/cert-manager/pkg/webhook/admission"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"
)

const ours = "cert-manager.io/v1"

// checkFiles prints what the webhook would refuse in the files, a line of JSON each; the exit code is 1 if there is any.
func checkFiles(files []string) int {
	webhook := admission.NewCustomValidationWebhook(scheme(), resourcevalidation.NewPlugin().(admission.ValidationInterface))
	refused := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(err)
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			must(err)
			object := &unstructured.Unstructured{}
			if yaml.Unmarshal(document, &object.Object) != nil || object.GetAPIVersion() != ours {
				continue // what cannot be read is somebody else's to say
			}
			if said := validate(webhook, object); said != "" {
				line, err := json.Marshal(map[string]string{"what": object.GetKind() + "/" + object.GetName(), "said": said})
				must(err)
				fmt.Println(string(line))
				refused = 1
			}
		}
	}
	return refused
}

// validate asks the webhook as the API server does when the object is created; what it says is empty if it admits it.
func validate(webhook *ctrladmission.Webhook, object *unstructured.Unstructured) string {
	raw, err := object.MarshalJSON()
	must(err)
	kind := object.GroupVersionKind()
	answer := webhook.Handle(context.Background(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID:       "check",
		Kind:      metav1.GroupVersionKind(kind),
		Resource:  metav1.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: strings.ToLower(kind.Kind) + "s"},
		Operation: admissionv1.Create,
		Object:    runtime.RawExtension{Raw: raw},
	}})
	if answer.Allowed {
		return ""
	}
	return answer.Result.Message
}
