# What the Terraform run makes. `step` 1 is the first apply, 2 changes each resource that can be changed.
terraform {
  required_providers {
    temporalcloud = {
      source = "temporalio/temporalcloud"
    }
  }
}

variable "step" {
  type = number
}

variable "regions" {
  type    = number
  default = 0
}

variable "expiry" {
  type = string
}

variable "account" {
  type = string
}

provider "temporalcloud" {
  allowed_account_id = var.account
}

resource "temporalcloud_namespace" "mtls" {
  name               = "tf-mtls"
  regions            = ["aws-us-east-1"]
  accepted_client_ca = base64encode(var.step == 1 ? file("${path.module}/one.pem") : "${file("${path.module}/one.pem")}\n${file("${path.module}/two.pem")}")
  retention_days     = var.step == 1 ? 7 : 14
  certificate_filters = [
    { common_name = "worker" },
    { organization = "acme", organizational_unit = var.step == 1 ? "ops" : "dev" },
  ]
  namespace_lifecycle = {
    enable_delete_protection = var.step == 1
  }
  codec_server = {
    endpoint                         = "https://codec.example.com"
    pass_access_token                = true
    include_cross_origin_credentials = false
  }
}

resource "temporalcloud_namespace" "key" {
  name           = "tf-key"
  regions        = ["aws-us-east-1"]
  api_key_auth   = true
  retention_days = 7
}

resource "temporalcloud_namespace_tags" "key" {
  namespace_id = temporalcloud_namespace.key.id
  tags         = var.step == 1 ? { team = "a" } : { team = "b", env = "live" }
}

resource "temporalcloud_namespace_search_attribute" "key" {
  namespace_id = temporalcloud_namespace.key.id
  name         = var.step == 1 ? "Customer" : "Client"
  type         = "Keyword"
}

resource "temporalcloud_service_account" "robot" {
  name           = "tf-robot"
  description    = var.step == 1 ? "" : "does"
  account_access = var.step == 1 ? "read" : "Developer"
  namespace_accesses = [
    { namespace_id = temporalcloud_namespace.key.id, permission = var.step == 1 ? "read" : "Write" },
  ]
}

resource "temporalcloud_service_account" "scoped" {
  name = "tf-scoped"
  namespace_scoped_access = {
    namespace_id = temporalcloud_namespace.key.id
    permission   = var.step == 1 ? "write" : "admin"
  }
}

resource "temporalcloud_apikey" "robot" {
  display_name = "tf-robot"
  description  = var.step == 1 ? "first" : "second"
  owner_type   = "service-account"
  owner_id     = temporalcloud_service_account.robot.id
  expiry_time  = var.expiry
  disabled     = var.step != 1
}

resource "temporalcloud_user" "ann" {
  email          = "ann@example.com"
  account_access = var.step == 1 ? "read" : "developer"
  namespace_accesses = [
    { namespace_id = temporalcloud_namespace.key.id, permission = "write" },
  ]
}

resource "temporalcloud_user" "bob" {
  email          = "bob@example.com"
  account_access = "admin"
}

resource "temporalcloud_group" "ops" {
  name = var.step == 1 ? "tf-ops" : "tf-operators"
}

resource "temporalcloud_group_access" "ops" {
  id             = temporalcloud_group.ops.id
  account_access = var.step == 1 ? "read" : "developer"
  namespace_accesses = [
    { namespace_id = temporalcloud_namespace.key.id, permission = "admin" },
  ]
}

resource "temporalcloud_group_members" "ops" {
  group_id = temporalcloud_group.ops.id
  users    = var.step == 1 ? [temporalcloud_user.ann.id] : [temporalcloud_user.ann.id, temporalcloud_user.bob.id]
}

resource "temporalcloud_custom_role" "auditor" {
  name        = "tf-auditor"
  description = "reads"
  permissions = [
    {
      actions   = var.step == 1 ? ["cloud.account.get"] : ["cloud.account.get", "cloud.auditlog.list"]
      resources = { resource_type = "account", resource_ids = [], allow_all = true }
    },
  ]
}


data "temporalcloud_regions" "all" {
  count = var.regions
}

data "temporalcloud_namespaces" "all" {
  depends_on = [temporalcloud_namespace.key]
}

output "token" {
  value     = temporalcloud_apikey.robot.token
  sensitive = true
}

output "namespace" {
  value = temporalcloud_namespace.key.id
}
